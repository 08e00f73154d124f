"""Brings together defaults, file, environment and overrides into one checked configuration.

Precedence, low to high: defaults, the file, C{KONG_*} variables, C{KONGTX_*} variables, overrides
of the program. Kong: kong/conf_loader/init.lua.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from kongtx.conf import bundled
from kongtx.conf.checks import general as checks
from kongtx.conf.checks import unsupported
from kongtx.conf.configuration import Configuration
from kongtx.conf.draft import EFFECTIVE_RANK, Draft, Setting
from kongtx.conf.errors import ConfigurationError, NoFileError, Problem, VaultError
from kongtx.conf.properties import COPIES, DYNAMIC_PREFIXES, PROPERTIES, Kind, Mark
from kongtx.conf.reading import BadValueError, list_items, read_value
from kongtx.conf.syntax import file
from kongtx.conf.vault import EnvVault, IVault, is_reference, resolve, settings_of

#: Where a file is looked for when none is named; the first that is there is read.
SEARCH_PATHS = ("/etc/kongtx/kongtx.conf", "/etc/kong/kong.conf", "/etc/kong.conf")

#: What overrides may hold beside text.
Value = str | bool | int | float | Sequence[str]

_ENVIRONMENT_PREFIXES = (("KONG_", 1), ("KONGTX_", 2))
_ALIASES = {
    name: property_.alias_of for name, property_ in PROPERTIES.items() if property_.alias_of
}


def load(
    path: str | None = None,
    *,
    overrides: Mapping[str, Value] = MappingProxyType({}),
    environment: Mapping[str, str] | None = None,
    search_paths: Sequence[str] = SEARCH_PATHS,
    strict: bool = True,
) -> Configuration:
    """The configuration that a node runs with.

    @param path: a file that must be there; C{None} takes the first of C{search_paths} that is,
        or the defaults.
    @param overrides: values by property that win over everything.
    @param environment: C{None} for that of the process.
    @param strict: whether a vault reference that cannot be resolved is an error, as it must be
        for starting. Otherwise the property has no value, as for stopping.
    @raise NoFileError: when C{path} is not there.
    @raise ConfigurationError: with all that is wrong.
    """
    environment = os.environ if environment is None else environment
    draft = Draft()
    if path is None:
        path = next((each for each in search_paths if os.path.exists(each)), None)
    if path is not None:
        _read_file(draft, path)
    _read_environment(draft, environment)
    _read_overrides(draft, overrides)
    return _finish(draft, path, environment, strict)


def from_values(
    overrides: Mapping[str, Value] = MappingProxyType({}), **more: Value
) -> Configuration:
    """A configuration from values alone, without file and environment: for embedding and tests.

    @raise ConfigurationError: with all that is wrong.
    """
    return load(overrides={**overrides, **more}, environment={}, search_paths=())


def from_entries(
    entries: Sequence[file.Entry],
    path: str,
    *,
    changes: str | None,
    overrides: Mapping[str, Value],
    environment: Mapping[str, str],
    strict: bool,
) -> Configuration:
    """A configuration from the entries of a running node's file, which were checked before.

    @param changes: a configuration file whose settings replace the node's, or C{None}.
    @param environment: for references only; its properties are not applied.
    """
    draft = Draft(is_effective=changes is None)
    if changes is not None:
        _read_file(draft, changes)
    for entry in entries:
        if is_known(entry.name):
            setting = Setting(entry.name, entry.value, f"{path}:{entry.line}", EFFECTIVE_RANK)
            draft.settings.setdefault(entry.name, setting)
    _read_overrides(draft, overrides)
    return _finish(draft, path, environment, strict)


def default_prefix(environment: Mapping[str, str], is_root: bool) -> str:
    """Where a node keeps its files when nothing is said.

    Kong's C{/usr/local/kong} is made by its packages. kongtx may be installed by anybody, so it
    takes the directories meant for the state of services and of users' programs.

    Source: FHS 3.0 section 5.8 (/var/lib); XDG base directory specification (XDG_STATE_HOME).
    """
    if is_root:
        return "/var/lib/kongtx"
    state = environment.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):
        home = environment.get("HOME") or os.path.expanduser("~")
        state = os.path.join(home, ".local", "state")
    return os.path.join(state, "kongtx")


def _read_file(draft: Draft, path: str) -> None:
    try:
        with open(path, encoding="utf-8") as stream:
            entries, problems = file.parse(stream.read(), path)
    except FileNotFoundError:
        raise NoFileError(path) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise ConfigurationError([Problem(f"could not read {path}: {reason}")]) from error
    draft.problems.extend(problems)
    for entry in entries:
        where = f"{path}:{entry.line}"
        earlier = draft.settings.get(entry.name)
        if earlier is not None:
            draft.warnings.append(
                f"the '{entry.name}' configuration property is set again, which replaces "
                f"{earlier.where} [{where}]"
            )
        draft.settings[entry.name] = Setting(entry.name, entry.value, where, 0)
    for name in [name for name in draft.settings if not is_known(name)]:
        where = draft.settings.pop(name).where
        draft.warnings.append(
            f"unknown configuration property '{name}' is ignored{_suggestion(name)} [{where}]"
        )


def is_known(name: str) -> bool:
    """Whether a property of that name is kept."""
    return name in PROPERTIES or name.startswith(DYNAMIC_PREFIXES)


def _suggestion(name: str, cutoff: float = 0.6) -> str:
    near = difflib.get_close_matches(name.lower(), PROPERTIES, n=1, cutoff=cutoff)
    return f", did you mean '{near[0]}'?" if near else ""


def _read_environment(draft: Draft, environment: Mapping[str, str]) -> None:
    for prefix, rank in _ENVIRONMENT_PREFIXES:
        for variable, value in environment.items():
            if not variable.startswith(prefix):
                continue
            name = variable.removeprefix(prefix).lower()
            if is_known(name):
                where = f"environment variable {variable}"
                draft.settings[name] = Setting(name, value.strip(), where, rank)
            # Containers set variables of this form that are no properties (KONG_VERSION,
            # KONG_PORT_8000_TCP), so only what looks like a slip is worth a word.
            elif suggestion := _suggestion(name, cutoff=0.9):
                draft.warnings.append(
                    f"environment variable {variable} names no configuration property{suggestion}"
                )


def _read_overrides(draft: Draft, overrides: Mapping[str, Value]) -> None:
    for name, value in overrides.items():
        where = f"option {name}"
        if is_known(name):
            text = value.strip() if isinstance(value, str) else value
            draft.settings[name] = Setting(name, text, where, 3)
        else:
            draft.problems.append(
                Problem(f"unknown configuration property '{name}'{_suggestion(name)}", where, name)
            )


def _finish(
    draft: Draft, path: str | None, environment: Mapping[str, str], strict: bool
) -> Configuration:
    _warn(draft)
    _apply_aliases(draft)
    texts = _texts(draft, environment)
    _resolve_references(draft, texts, environment, strict)
    _read_values(draft, texts)
    checks.check(draft)
    if not strict:
        _forgive_unresolved(draft)
    if draft.problems:
        raise ConfigurationError(draft.problems, draft.warnings)
    draft.values["prefix"] = os.path.abspath(draft.values["prefix"])
    return Configuration(
        **draft.values,
        dynamic=MappingProxyType(
            {name: _dynamic(value) for name, value in texts.items() if name not in PROPERTIES}
        ),
        references=MappingProxyType(draft.references),
        path=path,
        warnings=tuple(draft.warnings),
        unsupported=tuple(unsupported.find(draft)),
    )


def _dynamic(value: Any) -> str:
    """The text of a property outside the table."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _forgive_unresolved(draft: Draft) -> None:
    """Forget problems that may come from references which cannot be resolved here.

    Who stops or checks a node need not have its secrets.
    """
    draft.problems = [
        problem
        for problem in draft.problems
        if not any(name == problem.name or name in problem.message for name in draft.unresolved)
    ]


def _warn(draft: Draft) -> None:
    """Say what is deprecated and what has no effect."""
    idle = []
    for name, setting in draft.settings.items():
        if setting.rank == EFFECTIVE_RANK:
            continue  # said when the node started
        property_ = PROPERTIES.get(name)
        if property_ is None:
            if not name.startswith("vault_"):
                idle.append(name)
            continue
        if property_.mark is Mark.NGINX:
            idle.append(name)
        if property_.deprecated_for:
            draft.warnings.append(
                f"the '{name}' configuration property is deprecated, use "
                f"'{property_.deprecated_for}' instead [{setting.where}]"
            )
        if name == "worker_consistency" and setting.value == "strict":
            draft.warnings.append(
                "the configuration value 'strict' for configuration property "
                f"'worker_consistency' is deprecated [{setting.where}]"
            )
    if idle:
        draft.warnings.append(
            "these properties have no effect on kongtx: " + ", ".join(sorted(idle))
        )


def _apply_aliases(draft: Draft) -> None:
    """Give all names of a property the setting that wins, and copies what they have no value for.

    Between two names that are set at the same rank the proper one wins, then the first alias.
    """
    groups: dict[str, list[str]] = {}
    for alias, name in _ALIASES.items():
        groups.setdefault(name, [name]).append(alias)
    for names in groups.values():
        chosen = [draft.settings[name] for name in names if name in draft.settings]
        if chosen:
            winner = max(chosen, key=lambda setting: setting.rank)
            for name in names:
                if not PROPERTIES[name].deprecated_for:
                    draft.settings[name] = winner


def _texts(draft: Draft, environment: Mapping[str, str]) -> dict[str, Any]:
    """What each property is set to, defaults included; absent where there is nothing."""
    texts: dict[str, Any] = _defaults(environment)
    for name, setting in draft.settings.items():
        # In Kong this leaves a directive out of nginx's configuration: nginx's default holds.
        is_left_out = setting.value == "NONE" and name.startswith("nginx_") and name in PROPERTIES
        if not is_left_out:
            texts[name] = setting.value
    for name, property_ in PROPERTIES.items():
        for copy in property_.copied_to:
            if copy not in draft.settings and name in texts:
                texts[copy] = texts[name]
    return texts


def _defaults(environment: Mapping[str, str]) -> dict[str, str]:
    """The defaults of the properties that have one."""
    defaults = {
        name: property_.default
        for name, property_ in PROPERTIES.items()
        if property_.default is not None
    }
    return {**defaults, "prefix": default_prefix(environment, os.geteuid() == 0)}


def _resolve_references(
    draft: Draft, texts: dict[str, Any], environment: Mapping[str, str], strict: bool
) -> None:
    """Replace vault references by what they stand for."""
    vaults: dict[str, IVault] = {}
    if "env" in bundled.loaded(list_items(texts["vaults"]) or (), bundled.VAULTS):
        vaults["env"] = EnvVault(environment)
    settings = {name: settings_of(name, texts) for name in vaults}

    def dereference(name: str, option: str, reference: str) -> str:
        try:
            return resolve(reference, vaults, settings).strip()
        except VaultError as error:
            draft.unresolved.add(name)
            message = f"failed to dereference '{reference}': {error} for config option '{option}'"
            if not _is_told(draft, name):
                return ""
            if strict:
                draft.problems.append(Problem(message, draft.where(name), name))
            elif not draft.is_effective:
                draft.warnings.append(message)
            return ""

    for name, text in list(texts.items()):
        property_ = PROPERTIES.get(name)
        if property_ is not None and property_.kind is Kind.ARRAY:
            items = list_items(text) or ()
            if any(map(is_reference, items)):
                draft.references[name] = items
                resolved = [
                    dereference(name, f"{name}[{place}]", item) if is_reference(item) else item
                    for place, item in enumerate(items, 1)
                ]
                texts[name] = draft.resolved[name] = tuple(item for item in resolved if item)
        elif is_reference(text):
            draft.references[name] = text
            texts[name] = draft.resolved[name] = dereference(name, name, text)
            if name in draft.unresolved and property_ is not None and property_.required:
                texts[name] = _defaults(environment)[name]


def _is_told(draft: Draft, name: str) -> bool:
    """Whether what is wrong with a value is told under this name.

    All names of a property share the setting, and copies the value; it is told once.
    """
    setting = draft.settings.get(name)
    return setting.name == name if setting is not None else name not in COPIES


def _read_values(draft: Draft, texts: Mapping[str, Any]) -> None:
    """Make typed values of the texts; what cannot be read is noted and left out."""
    for name, property_ in PROPERTIES.items():
        tail = None
        try:
            value = read_value(property_, texts.get(name))
            if property_.check is not None and value is not None:
                tail = property_.check(value)
            draft.values[name] = value
        except BadValueError as error:
            tail = str(error)
        if tail is not None and _is_told(draft, name):
            draft.refuse(name, tail)


__all__ = [
    "SEARCH_PATHS",
    "Value",
    "default_prefix",
    "from_entries",
    "from_values",
    "load",
]
