"""The base of every model a user writes: unknown keys, infinities and later changes are errors."""

from pydantic import BaseModel, ConfigDict
from pydantic.config import JsonDict

#: In the JSON Schema of a field that programs write: editors do not offer it.
NOT_TYPED: JsonDict = {"doNotSuggest": True}


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
