"""`rec demo`: the whole loop on a public stream, watched from a terminal."""
