"""Which changes of conditions are told, and how."""

from headrace.api.status import Phase
from headrace.cli.news import News


def test_one_fact_in_several_conditions_is_told_once(train, condition):
    """Ready, Progressing and Reconciling change together and are one line."""
    news, job = News(), train()
    lines = [
        news.line(job.key, condition(name, status, "Starting", "attempt 1 starts"), job)
        for name, status in (("Progressing", "True"), ("Ready", "False"))
    ]
    assert lines == ["TrainJob digits: Starting: attempt 1 starts", None]


def test_what_does_not_hold_is_no_news(train, condition):
    """NotFailed and NotSuspended are not told."""
    job = train()
    assert News().line(job.key, condition("Failed", "False", "NotFailed", "the run has not failed"), job) is None


def test_a_missing_readiness_is_news(train, condition):
    """Ready=False is told: its sentence says what is waited for."""
    job = train()
    line = News().line(job.key, condition("Ready", "False", "WaitingForDataset", "waits for DataPipeline digits"), job)
    assert line == "TrainJob digits: WaitingForDataset: waits for DataPipeline digits"


def test_that_all_keep_up_again_is_news(train, condition):
    """Straggling=False is told: before somebody straggled there is no such condition."""
    job = train()
    line = News().line(job.key, condition("Straggling", "False", "AllKeepUp", "no worker holds the others up"), job)
    assert line == "TrainJob digits: AllKeepUp: no worker holds the others up"


def test_a_complete_run_tells_what_it_made(train, condition, model):
    """The line of completion ends with the metrics."""
    job = train(phase=Phase.COMPLETE, model=model(accuracy=0.978))
    line = News().line(job.key, condition("Complete", "True", "Complete", "run 1 is complete"), job)
    assert line == "TrainJob digits: Complete: run 1 is complete (accuracy 0.978)"


def test_a_rejected_candidate_is_news(endpoint, condition):
    """Promoted=False is told: its sentence says why the candidate was turned down."""
    served = endpoint()
    line = News().line(served.key, condition("Promoted", "False", "Rejected", "v2: accuracy 0.9 against 0.95"), served)
    assert line == "InferenceEndpoint digits: Rejected: v2: accuracy 0.9 against 0.95"
