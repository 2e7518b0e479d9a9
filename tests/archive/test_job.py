"""The driver's decisions, without a worker in sight: outcomes are scripted, one step at a time."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from facefx.archive.job import MOST_LOSSES, ArchiveJob, Event, Fatal, choose
from facefx.archive.tasks import (
    AloneTask,
    ChooseTask,
    Chosen,
    Finished,
    FinishTask,
    Prepared,
    PrepareTask,
    Recipe,
    SegmentTask,
    Task,
    VideoRef,
    segment_name,
    task_name,
)
from facefx.config import RunConfig
from facefx.effects.registry import parse_effect
from facefx.errors import (
    ModelError,
    PoisonError,
    SourceError,
    StageError,
    UsageError,
    WeightsMissingError,
)
from facefx.pipeline.plan import Plan, make_analysis, make_plan
from facefx.pipeline.runner import Done, Failed, Failure, Lost, Outcome
from facefx.pipeline.segment import SegmentResult, Span
from facefx.video.clip import write_clip
from facefx.video.info import MediaInfo
from facefx.video.probe import probe

Answer = Callable[[Task], Outcome[Task, Any]]


class ScriptedRunner:
    """Some lanes whose tasks end, oldest first, as the script says; remembers what was asked of it."""

    def __init__(self, answer: Answer, lanes: int = 2) -> None:
        self._answer, self._lanes = answer, lanes
        self._running: deque[Task] = deque()
        self.asked: list[str] = []
        self.most_at_once = 0

    @property
    def lanes(self) -> int:
        return self._lanes

    @property
    def free(self) -> int:
        return self._lanes - len(self._running)

    def submit(self, task: Task, prefer: str = "") -> None:
        assert self.free > 0, "a task was given to a runner without a free lane"
        self.asked.append(task_name(task))
        self._running.append(task)
        self.most_at_once = max(self.most_at_once, len(self._running))

    def wait(self, timeout_s: float) -> Sequence[Outcome[Task, Any]]:
        return (self._answer(self._running.popleft()),) if self._running else ()

    def close(self) -> None:
        self._running.clear()


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> tuple[MediaInfo, Plan]:
    from facefx.demo import portrait_frames

    clip = tmp_path_factory.mktemp("clip") / "in.mp4"
    write_clip(clip, (shown.batch for shown in portrait_frames(seconds=0.2)))
    info = probe(clip)
    return info, make_plan(RunConfig(detector="blazeface"), info, Path("out.mp4"))


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(RunConfig(detector="blazeface"), "memory://out")


def video(name: str) -> VideoRef:
    output = f"{name}.mp4"
    return VideoRef(VideoRef.key_of(output), f"memory://in/{output}", output, output, 1000, "v1")


def spans(count: int) -> tuple[Span, ...]:
    return tuple(
        Span(i, count, 100 * i if i else None, 100 * i + 100 if i + 1 < count else None) for i in range(count)
    )


def result(number: int) -> SegmentResult:
    return SegmentResult(number, 10, 0, 9, {}, None, {}, {}, [], 1.0, 1.0, 100, "ab")


class Workers:
    """Answers every task well, unless a wish for it, used up by this, says otherwise."""

    def __init__(self, planned: tuple[MediaInfo, Plan], segments: int = 3) -> None:
        self._info, self._plan = planned
        self._segments = segments
        self.wishes: dict[str, list[Callable[[Task], Outcome[Task, Any]]]] = {}
        self.stored: dict[str, tuple[int, ...]] = {}

    def lose(self, name: str, times: int) -> None:
        self.wishes[name] = [lambda task: Lost(task, "its worker was killed", "lane 0")] * times

    def fail(self, name: str, error: Exception) -> None:
        self.wishes[name] = [lambda task: Failed(task, Failure.of(error, "lane 0"))]

    def __call__(self, task: Task) -> Outcome[Task, Any]:
        wishes = self.wishes.get(task_name(task))
        if wishes:
            return wishes.pop(0)(task)
        inner = task.task if isinstance(task, AloneTask) else task
        return Done(task, self._result(inner), "lane 0")

    def _result(self, task: Task) -> Any:
        match task:
            case PrepareTask():
                done = tuple(result(number) for number in self.stored.get(task.video.output, ()))
                return Prepared("v1", self._info, self._plan, spans(self._segments), done)
            case SegmentTask():
                return result(task.span.number)
            case FinishTask():
                assert [one.number for one in task.results] == list(range(self._segments))
                return Finished({"key": task.key})
            case ChooseTask():
                return Chosen(make_analysis(task.recipe.config, landmarks=False))
        raise AssertionError(task)


class Watch:
    """A job with everything it says noted down."""

    def __init__(
        self, recipe: Recipe, videos: Sequence[VideoRef], runner: ScriptedRunner, stop: Any = None
    ) -> None:
        self.events: list[Event] = []
        self.failed: list[tuple[VideoRef, Failure, str]] = []
        self.job = ArchiveJob(
            recipe,
            videos,
            runner,
            on_failed=lambda ref, failure, task: self.failed.append((ref, failure, task)),
            on_event=self.events.append,
            stop=stop or (lambda: False),
        )

    def run(self) -> Watch:
        for _ in self.job.run():
            pass
        return self

    def kinds(self) -> Counter[str]:
        return Counter(event.kind for event in self.events)


def test_numbers_of_tracks_are_refused_where_nobody_has_given_them_yet() -> None:
    config = RunConfig(effects=("solid",), select="track:3")
    with pytest.raises(UsageError, match="facefx archive render"):
        Recipe(config=config, target="out")
    assert Recipe(config=config, target="out", kept="old").to_json()["config"]["effects"] == [
        {"solid": {**parse_effect("solid").params, "who": "track:3"}}
    ]


def test_every_video_is_prepared_cut_and_finished_once(planned: Any, recipe: Recipe) -> None:
    runner = ScriptedRunner(Workers(planned))
    watch = Watch(recipe, [video("a"), video("b"), video("c")], runner).run()
    assert watch.kinds() == {"prepared": 3, "segment": 9, "done": 3}
    assert len(runner.asked) == len(set(runner.asked)) == 15
    assert (watch.job.progress.done, watch.job.progress.frames) == (3, 90)


def test_lanes_do_not_idle_while_there_is_work(planned: Any, recipe: Recipe) -> None:
    runner = ScriptedRunner(Workers(planned), lanes=4)
    Watch(recipe, [video(str(i)) for i in range(6)], runner).run()
    assert runner.most_at_once == 4


def test_a_video_is_finished_before_new_ones_are_opened_so_that_few_are_in_hand(
    planned: Any, recipe: Recipe
) -> None:
    """A thousand videos at once would leave none done when the cluster goes, and fill the store."""
    runner = ScriptedRunner(Workers(planned), lanes=2)
    Watch(recipe, [video(f"{i:03d}") for i in range(50)], runner).run()
    in_hand = most = 0
    for asked in runner.asked:
        in_hand += asked.endswith("preparing")
        in_hand -= asked.endswith("finishing")
        most = max(most, in_hand)
    assert most <= 2 * 2 + 2


def test_segments_that_an_earlier_run_left_are_not_made_again(planned: Any, recipe: Recipe) -> None:
    workers = Workers(planned)
    workers.stored["a.mp4"] = (0, 2)
    runner = ScriptedRunner(workers)
    watch = Watch(recipe, [video("a")], runner).run()
    assert runner.asked == ["a.mp4: preparing", "a.mp4: segment 2 of 3", "a.mp4: finishing"]
    assert (watch.job.progress.reused, watch.job.progress.redone) == (2, 0)


def test_a_video_all_of_whose_segments_are_there_is_only_finished(planned: Any, recipe: Recipe) -> None:
    workers = Workers(planned)
    workers.stored["a.mp4"] = (0, 1, 2)
    runner = ScriptedRunner(workers)
    Watch(recipe, [video("a")], runner).run()
    assert runner.asked == ["a.mp4: preparing", "a.mp4: finishing"]


def test_a_lost_segment_is_begun_again_and_counted(planned: Any, recipe: Recipe) -> None:
    workers = Workers(planned)
    workers.lose("a.mp4: segment 2 of 3", 2)
    watch = Watch(recipe, [video("a")], ScriptedRunner(workers)).run()
    assert watch.kinds()["lost"] == 2
    assert (watch.job.progress.done, watch.job.progress.redone, watch.failed) == (1, 2, [])


def test_what_was_lost_comes_before_new_work(planned: Any, recipe: Recipe) -> None:
    workers = Workers(planned)
    workers.lose("a.mp4: segment 1 of 3", 1)
    runner = ScriptedRunner(workers, lanes=1)
    Watch(recipe, [video("a")], runner).run()
    assert runner.asked[1:3] == ["a.mp4: segment 1 of 3"] * 2


def test_a_segment_that_kills_three_workers_is_tried_once_more_alone(planned: Any, recipe: Recipe) -> None:
    workers = Workers(planned)
    workers.lose("a.mp4: segment 2 of 3", MOST_LOSSES)
    runner = ScriptedRunner(workers)
    watch = Watch(recipe, [video("a"), video("b")], runner).run()
    assert runner.asked.count("a.mp4: segment 2 of 3") == MOST_LOSSES
    assert runner.asked.count("a.mp4: segment 2 of 3, alone") == 1
    assert (watch.job.progress.done, watch.failed) == (2, [])


def test_a_video_whose_segment_dies_alone_too_is_set_aside_and_the_rest_goes_on(
    planned: Any, recipe: Recipe
) -> None:
    workers = Workers(planned)
    workers.lose("a.mp4: segment 2 of 3", MOST_LOSSES)
    workers.fail("a.mp4: segment 2 of 3, alone", PoisonError("a.mp4: kills"))
    watch = Watch(recipe, [video("a"), video("b")], ScriptedRunner(workers)).run()
    ((ref, failure, task),) = watch.failed
    assert (ref.relative, failure.kind, task) == ("a.mp4", "PoisonError", "a.mp4: segment 2 of 3, alone")
    assert (watch.job.progress.done, watch.job.progress.failed) == (1, 1)


def test_a_task_that_ends_every_machine_does_not_go_round_for_ever(planned: Any, recipe: Recipe) -> None:
    workers = Workers(planned)
    workers.lose("a.mp4: preparing", MOST_LOSSES)
    workers.lose("a.mp4: preparing, alone", MOST_LOSSES)
    watch = Watch(recipe, [video("a")], ScriptedRunner(workers)).run()
    assert [failure.kind for _, failure, _ in watch.failed] == ["PoisonError"]


def test_a_bad_video_is_given_up_with_all_that_was_planned_of_it(planned: Any, recipe: Recipe) -> None:
    workers = Workers(planned)
    workers.fail("a.mp4: segment 1 of 3", SourceError("a.mp4: is garbage"))
    runner = ScriptedRunner(workers, lanes=1)
    watch = Watch(recipe, [video("a"), video("b")], runner).run()
    assert [failure.message for _, failure, _ in watch.failed] == ["a.mp4: is garbage"]
    assert "a.mp4: segment 2 of 3" not in runner.asked
    assert watch.job.progress.done == 1


def test_late_news_of_a_video_that_was_given_up_changes_nothing(planned: Any, recipe: Recipe) -> None:
    """Its other segments still run on other lanes when the first of them fails."""
    workers = Workers(planned)
    workers.fail("a.mp4: segment 1 of 3", SourceError("a.mp4: is garbage"))
    workers.fail("a.mp4: segment 2 of 3", SourceError("a.mp4: is garbage here too"))
    watch = Watch(recipe, [video("a")], ScriptedRunner(workers, lanes=3)).run()
    assert len(watch.failed) == watch.job.progress.failed == 1


def test_a_net_that_is_missing_ends_the_run_instead_of_failing_each_video(
    planned: Any, recipe: Recipe
) -> None:
    workers = Workers(planned)
    workers.fail("a.mp4: preparing", WeightsMissingError("net: nowhere"))
    watch = Watch(recipe, [video("a"), video("b")], ScriptedRunner(workers))
    with pytest.raises(Fatal, match="net: nowhere") as caught:
        watch.run()
    assert caught.value.exit_code == ModelError.exit_code
    assert watch.failed == []


def test_asked_to_stop_it_begins_nothing_more(planned: Any, recipe: Recipe) -> None:
    runner = ScriptedRunner(Workers(planned), lanes=1)
    watch = Watch(recipe, [video("a"), video("b")], runner, stop=lambda: len(runner.asked) >= 3).run()
    assert len(runner.asked) == 3
    assert watch.job.progress.done == 0


def test_an_answer_that_fits_no_task_is_a_fault_not_a_success(planned: Any, recipe: Recipe) -> None:
    runner = ScriptedRunner(lambda task: Done(task, "what?", "lane 0"))
    with pytest.raises(StageError, match="got 'what\\?'"):
        Watch(recipe, [video("a")], runner).run()


def test_the_way_of_looking_is_settled_by_a_worker(planned: Any, recipe: Recipe) -> None:
    settled = choose(recipe, ScriptedRunner(Workers(planned)))
    assert settled.analysis is not None
    assert settled.analysis.detector.name == "blazeface"
    assert settled.digest != recipe.digest


def test_workers_that_die_of_choosing_end_in_an_error(planned: Any, recipe: Recipe) -> None:
    workers = Workers(planned)
    workers.lose("choosing the nets", 100)
    with pytest.raises(StageError, match="3 workers died"):
        choose(recipe, ScriptedRunner(workers))


def test_a_segments_name_is_of_its_input_its_place_and_its_plan(planned: Any) -> None:
    _, plan = planned
    first, second = spans(2)
    named = {
        segment_name("v1", plan, first),
        segment_name("v2", plan, first),
        segment_name("v1", plan, second),
        segment_name("v1", plan, Span(0, 3, None, 100)),
    }
    assert len(named) == 4
    assert segment_name("v1", plan, first) == segment_name("v1", plan, first)


class Machines(ScriptedRunner):
    """Two machines of two lanes; tasks end as they began. One that loses a task is gone, and
    the next takes its place.
    """

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer, lanes=4)
        self._idle = ["a/0", "a/1", "b/0", "b/1"]
        self._at: dict[str, str] = {}
        self.machines: dict[str, set[str]] = {}

    def submit(self, task: Task, prefer: str = "") -> None:
        machine = prefer.split("/")[0]
        lane = max(self._idle, key=lambda lane: (lane == prefer, lane.split("/")[0] == machine))
        self._idle.remove(lane)
        self._at[task_name(task)] = lane
        self.machines.setdefault(task_name(task).split(":")[0], set()).add(lane.split("/")[0])
        super().submit(task, prefer)

    def wait(self, timeout_s: float) -> Sequence[Outcome[Task, Any]]:
        (outcome,) = super().wait(timeout_s)
        lane = self._at.pop(task_name(outcome.task))
        self._idle.append(lane)
        assert not isinstance(outcome, Failed)
        if isinstance(outcome, Lost):
            gone = lane.split("/")[0]
            self._idle = [lane.replace(gone, "c") for lane in self._idle]
            self._at = {name: lane.replace(gone, "c") for name, lane in self._at.items()}
        return (replace(outcome, where=lane),)


def test_a_machine_goes_on_with_the_videos_that_it_has_fetched(planned: Any, recipe: Recipe) -> None:
    """Each machine that works on a video fetches it whole: with all on all, that is what lanes would do."""
    runner = Machines(Workers(planned, segments=12))
    Watch(recipe, [video(f"{i:02d}") for i in range(20)], runner).run()
    fetched = sorted(len(machines) for machines in runner.machines.values())
    assert fetched[:14] == [1] * 14, "most are fetched once; the last are shared, so that nobody waits"


def test_machines_help_each_other_when_there_is_nothing_else_to_do(planned: Any, recipe: Recipe) -> None:
    runner = Machines(Workers(planned, segments=12))
    Watch(recipe, [video("long")], runner).run()
    assert runner.machines["long.mp4"] == {"a", "b"}
    assert runner.most_at_once == 4


def test_a_video_whose_machine_was_lost_is_gone_on_with_by_another(planned: Any, recipe: Recipe) -> None:
    """Not only when all other videos are done: until then it would lie half made."""
    workers = Workers(planned, segments=12)
    workers.lose("00.mp4: segment 3 of 12", 1)
    runner = Machines(workers)
    Watch(recipe, [video(f"{i:02d}") for i in range(20)], runner).run()
    finished = [name for name in runner.asked if name.endswith("finishing")]
    assert finished.index("00.mp4: finishing") < 8
