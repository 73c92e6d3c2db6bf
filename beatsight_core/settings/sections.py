"""The tables of `beatsight.toml`: what can be set, what it means, its default, and what it must be."""

import re
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from beatsight_core.settings.validation import (
    Number,
    RootedPath,
    SettingsTable,
    Switch,
    Whole,
    hidden,
    hidden_key,
    overrides_of,
    quoted,
)
from beatsight_core.taxonomy import suggestion, taxonomy_named
from beatsight_core.typed_json import JsonObject, JsonValue
from beatsight_core.units import GREATEST_RATE_HZ

Preset = Literal["warmup", "baseline", "long_run"]
PRESETS: tuple[Preset, ...] = typing.get_args(Preset)
"""The presets of training, each of which may have a `[training.<preset>]`."""

PromotionFigure = Literal["accuracy", "f1", "f1_kick", "f1_snare", "f1_crash", "loss", "exact_match"]
PROMOTION_FIGURES: tuple[PromotionFigure, ...] = typing.get_args(PromotionFigure)
"""What `[gates.promotion]` may set; `f1` stands for all three F1. Their limits are promotion's."""

ProbeFigure = Literal["accuracy", "recall", "min_positives", "max_confusion_growth"]
PROBE_FIGURES: tuple[ProbeFigure, ...] = typing.get_args(ProbeFigure)
"""What `[gates.probe]` may set."""

AlertKind = Literal[
    "run_failed", "gate_failed", "root_gone", "root_back", "disk_low", "disk_free", "step_stuck", "promoted",
    "rolled_back", "test",
]  # fmt: skip
ALERT_KINDS: tuple[AlertKind, ...] = typing.get_args(AlertKind)
"""What alerts tell of; "test" is what `beatsight alerts test` sends."""

MOST_SHIFT_MS = 10_000.0
"""No correction of onsets is greater: labels that are further off belong to other audio."""

LOOSENED = "loosened"
"""Key of a reason in `[gates.promotion]` and `[gates.probe]`; without one their limits can only be tightened."""

COALESCE_MS = 30.0
"""Onsets that are at most this far apart are one hit, where a source set does not say otherwise."""

Channel = Literal["mix", "left", "right", "loudest"]
CHANNELS: tuple[Channel, ...] = typing.get_args(Channel)
"""What mono can be made of: the mean of all channels, the first, the second, or the one with the greatest RMS."""

Count = Annotated[Whole, Field(ge=1)]
NotNegative = Annotated[Number, Field(ge=0)]
Positive = Annotated[Number, Field(gt=0)]

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?(:\d{1,5})?")
"""A name, or an address of IPv4, with or without a port."""

_WEB_ADDRESS = re.compile(r"https?://[^\s/\x00-\x1f]+[^\s\x00-\x1f]*")
_ENDS_LINE = re.compile(r"[\r\n]")
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


def _unquoted_text(value: JsonValue) -> JsonValue:
    """What pydantic would say of another value quotes it, and it may be a secret."""
    if value is not None and not isinstance(value, str):
        raise ValueError("must be text")
    return value


def _unquoted_texts(value: JsonValue) -> JsonValue:
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        raise ValueError("must be a list of texts")
    return value


def _a_variable(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):  # it may be the secret itself, by mistake
        raise ValueError("must be the name of a variable of the environment")
    return name


_VariableName = Annotated[str, BeforeValidator(_unquoted_text), AfterValidator(_a_variable)]


def _within_the_greatest_shift(shift_ms: float) -> float:
    if abs(shift_ms) > MOST_SHIFT_MS:
        raise ValueError(f"must lie within {MOST_SHIFT_MS:,.0f} ms, not {shift_ms:g}")
    return shift_ms


def _names_a_file(path: JsonValue) -> JsonValue:
    if path == "":
        raise ValueError("must name a file")
    return path


def _all_hosts(hosts: tuple[str, ...]) -> tuple[str, ...]:
    if wrong := [host for host in hosts if not _HOST.fullmatch(host)]:
        form = "must name hosts as drums.example.org or drums.example.org:8443, without http:// or *"
        raise ValueError(f"{form}, not {', '.join(map(repr, wrong))}")
    return hosts


@dataclass(frozen=True, slots=True)
class SourceSet(SettingsTable):
    """A corpus and how it is read: `[sources.<name>]`."""

    name: Annotated[str, hidden("name")]
    """Name of the corpus, as events call it in `source_set`."""
    roots: tuple[RootedPath, ...] = ()
    """Folders that `audio_path` is looked for in, first match wins. Without any: `raw/<name>`, then `raw`, of the data
    root and then of the secondary root."""
    licence: str = "unknown"
    """Licence for model cards; an event's own `licence` beats it."""
    coalesce_ms: NotNegative = COALESCE_MS
    """Distance from a hit's first onset within which other onsets of the same file belong to that hit."""
    expected_sample_rate_hz: Whole | None = None
    """Sample rate of the files; another one is reported."""
    split_by: tuple[Literal["drummer_id", "kit_id", "room_id"], ...] = ()
    """Fields of which sessions must not share a value across splits."""
    channel: Channel = "mix"
    """Channel that a clip is made of: "mix" (the mean of all), "left", "right", or "loudest" (the one with the greatest
    RMS over the whole file)."""
    unknown_labels: Literal["reject", "ignore"] = "reject"
    """Answer to a component that the taxonomy lacks: "reject" the event, or "ignore" that component."""
    sampling: Mapping[str, Number] = field(default_factory=dict)
    """Values that replace those of the sampling profile: exponent, least, most, events_per_session, events_per_file."""
    shift_ms: Annotated[Number, AfterValidator(_within_the_greatest_shift)] = 0.0
    """Time by which every onset is moved, later above 0. For labels that are early or late by a known time; reports and
    cards say so."""
    session_shifts: RootedPath | None = None
    """File with a shift for each session that has one of its own, which counts instead: a CSV with the heading
    session_id,shift_ms, or JSON lines."""


@dataclass(frozen=True, slots=True)
class DatasetSettings(SettingsTable):
    """How hits become clips: `[dataset]`. All of it is part of a shard's identity or a split's, save the last two."""

    sample_rate_hz: Annotated[Whole, Field(ge=8000, le=GREATEST_RATE_HZ)] = 44100
    """Rate of every clip."""
    pre_ms: NotNegative = 80.0
    """Audio before the onset."""
    tail_ms: Positive = 200.0
    """Audio from the onset on."""
    fixed_length: Switch = True
    """Whether all clips are that long; if not, each is as long as `context_ms` of its events asks."""
    encoding: Literal["wav", "flac"] = "wav"
    """Format of the clips: "wav" (PCM16) or "flac"."""
    val_ratio: Annotated[Number, Field(gt=0, lt=1)] = 0.1
    """Share of split groups that validate."""
    calibration_ratio: Annotated[Number, Field(ge=0, lt=1)] = 0.05
    """Share of the training groups that tune thresholds."""
    unit_hits: Count = 1024
    """Hits packed into a shard before the next boundary; a file with more stands alone."""
    workers: Annotated[Whole, Field(ge=0)] = 0
    """Number of processes; 0 means one per core."""
    sampling: str = "prod_combined"
    """Name of the profile by which sessions weigh when examples are drawn."""


@dataclass(frozen=True, slots=True)
class FeatureSettings(SettingsTable):
    """The log-mel: `[features]`. Times in samples at the dataset's rate, frequencies in hertz."""

    n_fft: Count = 2048
    """Length of a window."""
    hop_length: Count = 512
    """Distance from one frame to the next."""
    n_mels: Count = 128
    """Number of bands."""
    f_min_hz: NotNegative = 20.0
    """Lower end of the lowest band."""
    f_max_hz: Number = 16000.0
    """Upper end of the highest band."""
    storage: Literal["float16", "uint8"] = "uint8"
    """Number format of the cache: "uint8", 255 steps over the range of decibels, or "float16", twice as large."""

    @model_validator(mode="after")
    def _bands_have_a_width(self) -> "FeatureSettings":
        if not self.f_min_hz < self.f_max_hz:
            raise ValueError(f"f_min_hz must be less than f_max_hz, not {self.f_min_hz:g} and {self.f_max_hz:g}")
        return self


@dataclass(frozen=True, slots=True)
class Profile(SettingsTable):
    """The limits of a kind of corpus, whose values `gates.corpus_limits` holds. Rates are shares of events, 0..1."""

    min_counts: Mapping[str, Annotated[Whole, Field(ge=0)]]
    """Core component -> least hits that hold it."""
    required_techniques: tuple[str, ...]
    """Techniques that at least one event each must have."""
    max_reject_rate: Number
    """Lines of the manifest that are refused, of those read. Settings that only say how many events may be without
    audio mean these, too: both are lost."""
    max_duplication_rate: Number
    """Events that repeat another."""
    max_unknown_labels: Whole
    """Labels that the taxonomy lacks, rejected lines included."""
    max_missing_rate: Number
    """Events whose audio is missing, unreadable, or ends before them."""
    max_missing_rate_per_source: Number
    """The same of each source set."""
    max_class_drop: Number
    """Share of its hits that a class may lose against the baseline."""
    max_drift_js: Number
    """Jensen-Shannon divergence of a source set's classes from the baseline's, in bits."""
    max_drift_linf: Number
    """Change of one class's share in a source set since the baseline."""
    max_clipped_rate: Number
    """Clips of a source set with a run of samples at full scale."""
    max_offset_rate: Number
    """Clips of a source set whose median sample is not zero."""
    max_silent_rate: Number
    """Clips of a source set that have a label and hardly sound."""
    max_misalignment_ms: Number
    """Middle of attack minus onset in a source set, late or early; and the same of each session."""
    max_misaligned_share: Number
    """Sessions of a source set beyond that, of those judged. No session of two recorded kits was: 233 of 237 were
    judged, all within 4 ms. So one of up to 500 is one too many."""

    def to_json(self) -> JsonObject:
        """Return the limits as a report holds them."""
        return {**asdict(self), "required_techniques": list(self.required_techniques)}


@dataclass(frozen=True, slots=True)
class _NamedLimits(SettingsTable):
    """What `GateSettings` begins with: digests of settings depend on the order of its fields."""

    profile: Literal["production", "demo"] = "production"
    """Name of the limits: "production" (the shipped figures) or "demo" (small data; reports say so)."""
    min_counts: Mapping[str, Annotated[Whole, Field(ge=0)]] = field(default_factory=dict)
    """Component -> least hits, over the profile's."""


_OwnLimits: Any = overrides_of(Profile, "_OwnLimits", base=_NamedLimits, without=["min_counts"])


@dataclass(frozen=True, slots=True)
class GateSettings(_OwnLimits):  # type: ignore[misc]  # the fields of `Profile`, which mypy cannot see
    """Health gates and promotion criteria: `[gates]`. Every limit of `Profile` may be set; None leaves the profile's.

    Where only `max_missing_rate` is set, it is the limit of refused lines, too.
    """

    promotion: Mapping[PromotionFigure, Number] = field(default_factory=dict)
    """Criterion -> limit, tighter than the profile's; a looser one needs a reason."""
    probe: Mapping[ProbeFigure, Number] = field(default_factory=dict)
    """Figure of the warm-up probe -> limit; the same holds."""
    loosened: Annotated[Mapping[str, str], hidden("loosened")] = field(default_factory=dict)
    """Reasons for limits looser than the profile's, by "promotion" or "probe"; shown wherever the limits count."""


@dataclass(frozen=True, slots=True)
class TrackingSettings(SettingsTable):
    """Weights & Biases: `[tracking]`. `WANDB_MODE` and `WANDB_RUN_GROUP` beat mode and group."""

    mode: Literal["disabled", "offline", "online", "shared", "dryrun"] = "disabled"
    """What is sent: nothing ("disabled"), all of it later ("offline") or at once ("online")."""
    project: str = "beatsight"
    """Project of W&B."""
    entity: str | None = None
    """Owner of the project; without one, that of the account."""
    group: str | None = None
    """Name of runs that belong together, as those of an ensemble."""
    tags: tuple[str, ...] = ()
    """Tags beside those of manifest and day, and the preset."""
    sync: Switch = False
    """Whether the sensor `wandb_sync`, once it is turned on, sends what was kept offline; with mode "online" it does so
    in any case."""


@dataclass(frozen=True, slots=True)
class WebSettings(SettingsTable):
    """The web server of `beatsight dev`: `[web]`."""

    hosts: Annotated[tuple[str, ...], AfterValidator(_all_hosts)] = ()
    """Names, beside those of this machine itself, under which a browser may call it, as a reverse proxy shows it:
    "drums.example.org", or "drums.example.org:8443" where the browser's address has a port."""


@dataclass(frozen=True, slots=True)
class ConfigTarget(SettingsTable):
    """A value in another program's configuration that names the champion: one of `[[release.configs]]`."""

    file: Annotated[RootedPath, BeforeValidator(_names_a_file)]
    """JSON, TOML, YAML or .env, by its suffix; inside the data root or one of `release.roots`."""
    key: Annotated[str, Field(min_length=1)]
    """Place of the value: parts with dots between, as in "models.drums.path"; of a list, the place from 0 on."""
    value: str = "{weights}"
    """Text to write there. {weights}, {folder}, {current}, {version}, {run_id} and {sha256} are filled in."""


@dataclass(frozen=True, slots=True)
class ReleaseSettings(SettingsTable):
    """What a release must hold to, and what else it writes: `[release]`. Paths are relative to the data root."""

    max_latency_ms: Positive = 50.0
    """Time that a version may take for one clip on one core, in any of its forms."""
    max_size_mb: Positive = 64.0
    """Size of a version, all files together, in millions of bytes."""
    roots: tuple[RootedPath, ...] = ()
    """Folders beside the data root in which files may be changed."""
    current_status: RootedPath | None = None
    """Markdown page that says which model is in use, between markers; none by default."""
    next_steps: RootedPath | None = None
    """Markdown page that says what is to be done, between markers; none by default."""
    configs: tuple[ConfigTarget, ...] = ()
    """Values in other programs' configurations that name the champion."""

    @model_validator(mode="after")
    def _each_value_once(self) -> "ReleaseSettings":
        places = [(each.file, each.key) for each in self.configs]
        for number, (file, key) in enumerate(places):
            if (file, key) in places[:number]:
                raise ValueError(f"configs[{number}] names {key} of {file} once more")
        return self


@dataclass(frozen=True, slots=True)
class AutomationSettings(SettingsTable):
    """What Dagster does by itself: `[automation]`. Baseline, long run and release always wait for a person."""

    until: Literal["health", "probe"] = "health"
    """How far a manifest of the inbox is taken without a command: "health", the report on its data, or "probe", a
    judged warm-up probe. A gate that fails ends it before."""


@dataclass(frozen=True, slots=True)
class AlertReceiver(SettingsTable):
    """Somebody who is told of alerts: one of `[[alerts.receivers]]`. Which values it takes depends on its kind.

    Addresses may hold secrets: they are left out of `repr`, and no message quotes them.
    """

    name: Annotated[str, Field(min_length=1)]
    """Name of the receiver, as `beatsight alerts` shows it."""
    kind: Literal["log", "command", "webhook", "mail", "apprise"]
    """Way to it: "log" (a file of JSON lines in the data root), "command" (a program that reads the alert as JSON),
    "webhook" (JSON by POST), "mail" (SMTP), or "apprise" (chat services, by the library of that name)."""
    only: tuple[AlertKind, ...] = ()
    """Kinds of alerts that it gets; without any, all."""
    gather_minutes: NotNegative = 15.0
    """Time for which repeated alerts of one kind and subject are gathered; the first one is told at once."""
    timeout_s: Annotated[Number, Field(gt=0, le=300)] = 10.0
    """Time that one delivery may take; then it has failed, and is tried again later."""
    command: Annotated[tuple[str, ...], BeforeValidator(_unquoted_texts)] = field(default=(), repr=False)
    """Program and its arguments, for a command; no shell reads them."""
    url: Annotated[str | None, BeforeValidator(_unquoted_text)] = field(default=None, repr=False)
    """Address of a webhook."""
    urls: Annotated[tuple[str, ...], BeforeValidator(_unquoted_texts)] = field(default=(), repr=False)
    """Addresses of chat services, as apprise writes them."""
    url_env: _VariableName | None = None
    """Name of the variable that holds the address, for a webhook or apprise; for apprise also several, with blanks
    between them. Where an address is a secret it belongs there."""
    host: str | None = None
    """Name of the mail server."""
    port: Annotated[Whole, Field(ge=1, le=65535)] | None = None
    """Port of the mail server; by default that of its `security`: 587, 465 or 25."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    """Encryption of the way to the mail server: after greeting ("starttls"), from the start ("tls"), or "none"."""
    sender: str | None = None
    """Address that mails come from."""
    to: tuple[str, ...] = ()
    """Addresses that mails go to."""
    user: str | None = None
    """Name to log in to the mail server with; without one nobody logs in."""
    password_env: _VariableName | None = None
    """Name of the variable that holds the password of the mail server."""
    password_file: RootedPath | None = None
    """File that holds the password of the mail server, on its first line."""

    @model_validator(mode="after")
    def _fits_its_kind(self) -> "AlertReceiver":
        needed, allowed = _OF_KIND[self.kind]
        if lacking := [names for names in needed if not any(getattr(self, name) for name in names)]:
            raise ValueError(f"{lacking[0][0]} is missing: kind {self.kind!r} needs {' or '.join(lacking[0])}")
        every = {name for _, names in _OF_KIND.values() for name in names}
        if strange := sorted(name for name in every - allowed if getattr(self, name)):
            raise ValueError(f"{strange[0]} means nothing for kind {self.kind!r}")
        if self.url and not _WEB_ADDRESS.fullmatch(self.url):
            raise ValueError("url must be an address as https://example.org/path")
        if any(_ENDS_LINE.search(text) for text in (self.sender or "", *self.to)):
            raise ValueError("sender and to must be addresses on one line")
        self._check_login()
        return self

    def _check_login(self) -> None:
        secrets = [name for name in ("password_env", "password_file") if getattr(self, name)]
        if len(secrets) != int(bool(self.user)):
            raise ValueError("user must come with one of password_env and password_file, and they with user")
        if self.user and self.security == "none" and self.host not in _THIS_MACHINE:
            raise ValueError('security must not be "none" where a password is sent to another machine')


_OF_KIND: Mapping[str, tuple[tuple[tuple[str, ...], ...], frozenset[str]]] = {
    "log": ((), frozenset()),
    "command": ((("command",),), frozenset({"command"})),
    "webhook": ((("url", "url_env"),), frozenset({"url", "url_env"})),
    "mail": (
        (("host",), ("sender",), ("to",)),
        frozenset({"host", "port", "sender", "to", "user", "password_env", "password_file"}),
    ),
    "apprise": ((("urls", "url_env"),), frozenset({"urls", "url_env"})),
}
"""Kind of a receiver -> groups of values of each of which it needs one, and all values that are its own."""


@dataclass(frozen=True, slots=True)
class AlertSettings(SettingsTable):
    """Who is told of what happens while nobody looks: `[alerts]`."""

    receivers: tuple[AlertReceiver, ...] = ()
    """Receivers; without any there are no alerts."""
    base_url: str | None = None
    """Address of the web UI as readers of alerts reach it, as "http://127.0.0.1:3000"; links to reports begin with it.
    Without one an alert names the path of a report."""
    min_free_gb: NotNegative = 10.0
    """Free space, in billions of bytes, below which a drive of the platform is told of; 0 for never."""
    stuck_minutes: NotNegative = 60.0
    """Time without an event after which a step that works is told of; 0 for never."""

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, base_url: str | None) -> str | None:
        if base_url is not None and (not _WEB_ADDRESS.fullmatch(base_url) or set(base_url) & set("@?#")):
            raise ValueError("must be an address as http://127.0.0.1:3000, without name, password, ? or #")
        return base_url

    @model_validator(mode="after")
    def _each_name_once(self) -> "AlertSettings":
        names = [receiver.name for receiver in self.receivers]
        if repeated := [name for number, name in enumerate(names) if name in names[:number]]:
            raise ValueError(f"receivers has the name {quoted(repeated[0])} more than once")
        return self


@dataclass(frozen=True, slots=True)
class SettingsTables(SettingsTable):
    """Everything that `beatsight.toml` says."""

    secondary_root: RootedPath | None = None
    """A second drive whose `raw/` is searched after the first's."""
    taxonomy: Literal["core", "extended"] = "core"
    """Name of the component set."""
    sources: Mapping[str, SourceSet] = field(default_factory=dict)
    """Configured source sets by name; `Settings.source` gives any."""
    dataset: DatasetSettings = field(default_factory=DatasetSettings)
    """`[dataset]`."""
    features: FeatureSettings = field(default_factory=FeatureSettings)
    """`[features]`."""
    gates: GateSettings = field(default_factory=GateSettings)
    """`[gates]`."""
    tracking: TrackingSettings = field(default_factory=TrackingSettings)
    """`[tracking]`."""
    training: Mapping[Preset, Mapping[str, Any]] = field(default_factory=dict)
    """`[training.<preset>]`: overrides of a preset's values, which `runs.presets` checks."""
    release: ReleaseSettings = field(default_factory=ReleaseSettings)
    """`[release]`."""
    web: WebSettings = field(default_factory=WebSettings)
    """`[web]`."""
    automation: AutomationSettings = field(default_factory=AutomationSettings)
    """`[automation]`."""
    alerts: AlertSettings = field(default_factory=AlertSettings)
    """`[alerts]`."""

    @field_validator("sources", mode="before")
    @classmethod
    def _named(cls, tables: object) -> object:
        if not isinstance(tables, dict):
            return tables
        named = hidden_key("name")
        return {name: {**table, named: name} if isinstance(table, dict) else table for name, table in tables.items()}

    def disagreements(self) -> list[str]:
        """Return a line for each value that does not go together with one of another table."""
        problems = []
        half = self.dataset.sample_rate_hz / 2
        if self.features.f_max_hz > half:
            said = f"at most half of dataset.sample_rate_hz, {half:g}, not {self.features.f_max_hz:g}"
            problems.append(f"features.f_max_hz must be {said}")
        taxonomy = taxonomy_named(self.taxonomy)
        for label in self.gates.min_counts:
            if taxonomy.resolve(label) is None:
                meant = suggestion(label, taxonomy) or f"it has {', '.join(taxonomy.components)}"
                problems.append(f"gates.min_counts: the taxonomy {taxonomy.name} has no {quoted(label)} ({meant})")
        return problems
