"""The methods of a tuning over one model in memory, which is loaded when the first of them plays."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from compare.cost import Meter
from compare.extractors import HiddenStates
from compare.features import FeatureStore
from compare.kept import KeptFeatures, identity_of
from compare.learners import Tools
from compare.learners.types import Ledger
from compare.meta_tasks import MetaEpisodes
from compare.tune.learners import LearnerPlayer
from compare.tune.prepare import Prepared
from compare.tune.prompts import PromptPlayer, share_task
from compare.tune.types import IN_CONTEXT, Begin, Contestant, Settings
from compare.types import LearningEpisode
from icl.device import keep_freed_memory
from icl.encode import Encoder
from icl.engine.hf import HFEngine
from icl.engine.store import ScoreStore, store_path
from icl.environment import describe
from icl.events import Events
from icl.models import load_model
from icl.models.load import LoadedModel
from icl.shared import Shared


class Players:
    """See the module's opening."""

    def __init__(self, prepared: Prepared, episodes: Path, events: Events) -> None:
        self.prepared, self.episodes, self.events = prepared, episodes, events
        self.shared = Shared()
        share_task(self.shared, prepared.run_spec, prepared.task)

    def begin(self, method: str) -> Begin:
        """What plays a method's settings: those that its space does not name have their usual values."""

        def begin(settings: Settings, paid: set[str]) -> Contestant:
            whole = self.prepared.whole(method, settings)
            player = self._prompts if method == IN_CONTEXT else self._learner(method)
            return player.begin(whole, paid)

        return begin

    @cached_property
    def _prompts(self) -> PromptPlayer:
        _ = self._model
        return PromptPlayer(self.prepared.run_spec, self.shared, self.episodes)

    @cached_property
    def _model(self) -> tuple[LoadedModel, HFEngine]:
        """The same as `icl.session.in_memory` takes from what is shared."""
        spec, source = self.prepared.spec, self.prepared.source
        assert spec.batch_tokens is not None
        self.events.phase("load")
        keep_freed_memory()
        batch_tokens = spec.batch_tokens

        def make() -> tuple[LoadedModel, HFEngine]:
            loaded = load_model(source, spec.dtype, spec.device)
            return loaded, HFEngine(loaded.model, loaded.tokenizer, batch_tokens)

        return self.shared.model((source, spec.dtype, spec.device, "", batch_tokens), make)

    @cached_property
    def _tools(self) -> tuple[Tools, Meter]:
        loaded, engine = self._model
        spec, builders, ledger = self.prepared.spec, self.prepared.builders, Ledger()
        encoder = Encoder(loaded.tokenizer)
        identity = identity_of(self.prepared.source, engine, spec.dtype, describe(spec.device, spec.dtype))
        features = KeptFeatures(ScoreStore(store_path()), identity, ledger, False)
        store = FeatureStore(HiddenStates(engine, encoder, builders, loaded.context_window), features)
        tools = Tools(store, engine, encoder, builders, loaded.context_window, "none", spec.meta_steps, ledger=ledger)
        return tools, Meter(loaded.model, engine, store, ledger)

    def _learner(self, name: str) -> LearnerPlayer:
        spec, (tools, meter) = self.prepared.spec, self._tools
        assert spec.k_shot is not None
        return LearnerPlayer(name, tools, meter, self._learning_episodes, self._meta, spec.k_shot, spec.seed)

    @cached_property
    def _learning_episodes(self) -> list[LearningEpisode]:
        return self.prepared.learning_episodes()

    @cached_property
    def _meta(self) -> MetaEpisodes:
        """Of other tasks, at this K; nothing is read where no method needs them."""
        pools, k = self.prepared.pools, self.prepared.spec.k_shot
        return pools.episodes(k) if pools and k else MetaEpisodes((), ())
