"""Masking: secrets among a job's arguments and metadata are dots in whatever its worker tells."""

import json

from furrow.kinds.masks import Masks, masks_of
from furrow.models import Job


def masks(job: Job) -> Masks:
    """For what is told of this job."""
    return masks_of(json.dumps(job.arguments), None if job.meta is None else json.dumps(job.meta))
