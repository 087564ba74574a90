"""Many runs of one function, in this process, in several or on a cluster, and one table that keeps what they found.

    jobs = [Job(f"seed {seed}", train, {"seed": seed}) for seed in range(5)]
    with JobTable(Path("out/table.jsonl")) as table:
        rows = Processes(2).run(jobs, table)

Given again, the same lines run only what is missing or failed. Worker processes import the program that starts them:
in a script these lines stand under `if __name__ == "__main__":`.
"""

from lsm.experiments.jobs.call import Call, Row, attempt
from lsm.experiments.jobs.cluster import Ray
from lsm.experiments.jobs.executor import Executor, Job, Progress, Serial, Step
from lsm.experiments.jobs.finish import commits_used, finish
from lsm.experiments.jobs.processes import Processes
from lsm.experiments.jobs.table import JobTable, read_rows

__all__ = [
    "Call",
    "Executor",
    "Job",
    "JobTable",
    "Processes",
    "Progress",
    "Ray",
    "Row",
    "Serial",
    "Step",
    "attempt",
    "commits_used",
    "finish",
    "read_rows",
]
