import fuzzing
import pytest

from rec_assets.serving import keys


@pytest.mark.slow
def test_odd_requests_to_every_address_get_an_answer_that_is_no_5xx(served):
    key = keys.add(served.settings.keys_path, "all", ["read", "feedback", "admin"], None)
    found = fuzzing.send(str(served.http.base_url), key, fuzzing.requests(seed=1, number=600))
    assert found.wrong == []
    assert sum(found.statuses.values()) == 600
    assert found.statuses[200] > 50 and found.statuses[422] > 50
