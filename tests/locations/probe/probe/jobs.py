"""The jobs alone, for a second code location beside `probe.definitions`.

Module name: `probe.jobs`. An asset may be defined in one code location only.
"""

from dagster import Definitions

from .definitions import limited_job, pooled_job, steps_job, work_job

defs = Definitions(jobs=[work_job, steps_job, limited_job, pooled_job])
