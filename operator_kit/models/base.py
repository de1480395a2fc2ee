"""The base classes of models: `CustomResource` for a kind, `Model` for what is inside it, `Status` and `Condition`.

Names are snake_case in Python and camelCase in the object (`html_from` is `htmlFrom`; a trailing underscore, as in `from_`, is
dropped). Parsing drops what the model does not know, as a server prunes it, unless the class says `extra="allow"`, which also
lets the server keep it. A text under a field is its description. Dumping leaves out what was not set and is at its default:
what was read is written back as it was.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticUndefined
from pydantic_core.core_schema import SerializationInfo

from operator_kit.codec import clone
from operator_kit.errors import InvalidObject
from operator_kit.models.definition import Column, Definition, Scale, make_definition, refuse
from operator_kit.models.markers import ListMap, Rule
from operator_kit.objects import Object, describe
from operator_kit.settings import suggest

__all__ = ["Condition", "CustomResource", "Metadata", "Model", "Status"]

_SHOWN = 5  # problems of one object that a message lists
_LONGEST = 200  # characters of one problem


PROBLEM = "x-operator-kit-problem"
"""Where a JSON schema says what is wrong with a type, for `operator_kit.generate` to tell with the field's path."""


def _first_line(exc: Exception) -> str:
    lines = str(exc).splitlines()
    return lines[0] if lines else type(exc).__name__


def _camel(name: str) -> str:
    head, *rest = name.strip("_").split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


class Model(BaseModel):
    """A part of an object: its spec, and the parts of that.

    Class options: `rules=[Rule(…)]`, CEL rules the server checks on every object of the class; and those of pydantic's
    configuration, such as `extra="allow"`.
    """

    model_config = ConfigDict(alias_generator=_camel, populate_by_name=True, use_attribute_docstrings=True)

    __rules__: ClassVar[tuple[Rule, ...]] = ()

    def __init_subclass__(cls, *, rules: Iterable[Rule] = (), **unknown: Any) -> None:
        for option in unknown:  # what pydantic knows is not among them
            known = [name for name in inspect.signature(cls.__init_subclass__).parameters if name not in {"unknown", "rest"}]
            raise refuse(_where(), cls.__name__, f"there is no option {option}{suggest(option, known)}")
        super().__init_subclass__()
        own = tuple(rules)
        for rule in own:
            if not isinstance(rule, Rule):
                raise refuse(_where(), cls.__name__, f'rules: {rule!r} is no Rule; write Rule("self.a <= self.b", "…")')
        cls.__rules__ = (*cls.__rules__, *own)

    @classmethod
    def __pydantic_init_subclass__(cls, **_options: Any) -> None:
        """The class's options come here too; they are dealt with above."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core_schema)
        resolved = handler.resolve_ref_schema(schema)
        if cls.__rules__:
            resolved["x-kubernetes-validations"] = [rule.as_dict() for rule in cls.__rules__]
        cls._write_defaults(resolved.get("properties", {}))
        return schema

    @classmethod
    def _write_defaults(cls, properties: dict[str, Any]) -> None:
        """Put defaults into the schema as they stand in an object: pydantic writes them without the fields' own serializers."""
        blank = cls.model_construct()
        for name, field in cls.model_fields.items():
            key = field.validation_alias or name
            if not isinstance(key, str) or key not in properties:
                continue
            if field.is_required() or field.default_factory is not None or field.default is None:
                continue
            try:
                dumped = blank.model_copy(update={name: field.default}).model_dump(
                    mode="json", by_alias=True, include={name}, warnings="error"
                )
            except (ValueError, TypeError) as exc:
                properties[key][PROBLEM] = f"the default {field.default!r} cannot be written: {_first_line(exc)}"
            else:
                properties[key]["default"] = dumped[field.serialization_alias or name]

    @model_serializer(mode="wrap")
    def _without_defaults(self, handler: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        data: dict[str, Any] = handler(self)
        for name, computed in type(self).model_computed_fields.items():  # of no object: no server knows them
            data.pop((computed.alias or name) if info.by_alias else name, None)
        for name, field in type(self).model_fields.items():
            key = (field.serialization_alias or name) if info.by_alias else name
            if key not in data or name in self.model_fields_set:
                continue
            default = _default(field)
            if getattr(self, name) != default:
                continue
            if isinstance(default, BaseModel):  # equal, but something in it may have been set to what it was
                default_data = default.model_dump(mode=info.mode, by_alias=info.by_alias)
                if data[key] != default_data:
                    continue
            del data[key]
        return data

    def to_dict(self) -> Object:
        """As it stands in an object: JSON values, the object's names, without what is unset and at its default."""
        return self.model_dump(mode="json", by_alias=True)


def _default(field: FieldInfo) -> Any:
    """The default, made anew; `PydanticUndefined`, which equals nothing, where it is made from the other fields."""
    factory: Callable[..., Any] | None = field.default_factory
    if factory is None:
        return field.default
    return PydanticUndefined if _takes_fields(factory) else factory()


@lru_cache(maxsize=4096)
def _takes_fields(factory: Callable[..., Any]) -> bool:
    """Whether a default factory is given the fields before it; asked once, since looking is dear."""
    try:
        inspect.signature(factory).bind()
    except TypeError:
        return True
    except ValueError:  # a built-in type that tells no signature, such as dict
        return False
    return False


class Metadata(Model, extra="allow"):
    """The object's metadata. What is not listed here is kept as it is."""

    name: str = ""
    namespace: str = ""
    generate_name: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    finalizers: list[str] = Field(default_factory=list)
    owner_references: list[dict[str, Any]] = Field(default_factory=list)
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None


class Condition(Model):
    """One observation of an object's state, in the form all Kubernetes kinds share."""

    type: str
    """What is observed, such as Available."""
    status: Literal["True", "False", "Unknown"]
    """Whether it is so."""
    reason: str = ""
    """Why, in one CamelCase word."""
    message: str = ""
    """Why, for people."""
    last_transition_time: datetime | None = None
    """When the status last changed."""
    observed_generation: int | None = None
    """The generation of the object that was observed."""


class Status(Model):
    """What operators report: the base of a kind's own status. The framework keeps the conditions and the generation."""

    observed_generation: int | None = None
    """The generation of the object that was last reconciled."""
    conditions: Annotated[list[Condition], ListMap("type")] = Field(default_factory=list)
    """What is known of the object's state."""


class CustomResource(Model):
    """A kind of one's own.

        class Website(CustomResource, group="example.com", version="v1"):
            spec: WebsiteSpec

    Fields besides `metadata` and `status` are the author's; a status of one's own derives from `Status`, and its fields need
    defaults: the status of a new object is empty.

    Class options:
        group, version: as in `apiVersion: example.com/v1`. A class without them is no kind, but a base for kinds.
        kind, plural, singular: made from the class's name unless given.
        short_names, categories: what else `kubectl get` understands.
        namespaced: False for a cluster-scoped kind.
        columns: of `kubectl get`.
        selectable: paths of fields that `kubectl get --field-selector` and watches can select by (8 at most).
        scale: the scale subresource.
        storage: with several versions of one kind, True on the one that is stored.
        served: False for a version that is no longer served.
        deprecated: True, or the warning that clients of this version get.
        rules: CEL rules for the whole object.

    Raises:
        RegistrationError: an option is unknown or cannot be used; it names file and line.
    """

    __definition__: ClassVar[Definition | None] = None

    metadata: Metadata = Field(default_factory=Metadata)
    status: Status = Field(default_factory=Status)

    def __init_subclass__(
        cls,
        *,
        group: str = "",
        version: str = "",
        kind: str = "",
        plural: str = "",
        singular: str = "",
        short_names: Iterable[str] = (),
        categories: Iterable[str] = (),
        namespaced: bool = True,
        columns: Iterable[Column] = (),
        selectable: Iterable[str] = (),
        scale: Scale | None = None,
        storage: bool | None = None,
        served: bool = True,
        deprecated: bool | str = False,
        rules: Iterable[Rule] = (),
        **unknown: Any,
    ) -> None:
        super().__init_subclass__(rules=rules, **unknown)
        if not group and not version:
            return
        try:
            cls.__definition__ = make_definition(
                cls.__name__,
                group=group,
                version=version,
                kind=kind,
                plural=plural,
                singular=singular,
                short_names=short_names,
                categories=categories,
                namespaced=namespaced,
                columns=columns,
                selectable=selectable,
                scale=scale,
                storage=storage,
                served=served,
                deprecated=deprecated,
            )
        except ValueError as exc:
            raise refuse(_where(), cls.__name__, str(exc)) from None

    @model_validator(mode="before")
    @classmethod
    def _object(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        fields = {key: item for key, item in value.items() if key not in {"apiVersion", "kind"}}
        if fields.get("status") is None:
            fields["status"] = {}  # so a status of one's own needs no default to be left out
        return fields

    @classmethod
    def from_dict(cls, obj: Mapping[str, Any]) -> Self:
        """Parse an object. The model shares nothing with it.

        Raises:
            InvalidObject: it does not fit the model; the message says where and why.
        """
        try:
            return cls.model_validate(clone(dict(obj)))
        except ValidationError as exc:
            problems = [f"{_path(error['loc'])}: {error['msg'][:_LONGEST]}" for error in exc.errors(include_url=False)]
        more = f" (and {len(problems) - _SHOWN} more)" if len(problems) > _SHOWN else ""
        raise InvalidObject(f"{describe(obj)} is invalid: {'; '.join(problems[:_SHOWN])}{more}", problems=problems)

    def to_dict(self) -> Object:
        """The whole object, with apiVersion and kind."""
        definition = type(self).__definition__
        head = {} if definition is None else {"apiVersion": definition.api_version, "kind": definition.kind}
        body = super().to_dict()
        if not body.get("status", True):
            del body["status"]
        return {**head, **body}


def _path(loc: tuple[int | str, ...]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return text.removeprefix(".") or "the object"


def _where() -> str:
    """`"website.py:12"`: where the class statement stands."""
    frame = inspect.currentframe()
    while frame is not None and str(frame.f_globals.get("__name__")).startswith(("operator_kit.models", "pydantic.", "abc")):
        frame = frame.f_back
    if frame is None:
        return "somewhere"
    path = Path(frame.f_code.co_filename)
    cwd = Path.cwd()
    return f"{path.relative_to(cwd) if path.is_relative_to(cwd) else path}:{frame.f_lineno}"
