"""An online-learning recommender: what happened a moment ago changes what is shown next."""
