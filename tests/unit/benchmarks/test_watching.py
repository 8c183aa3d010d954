from coordinator.processing.v1 import processing_pb2 as pb

from benchmarks.cut_watch import CutWatch
from benchmarks.watchers import Seen, Watcher, count
from processing_service.wire.channels import ChannelSettings, open_channel

ENDED = pb.EVENT_KIND_SESSION_ENDED


def event(sequence, kind=pb.EVENT_KIND_STEP_STARTED):
    return pb.SessionEvent(sequence=sequence, kind=kind)


def watcher(*sequences, ended=True):
    """One that was sent these events: the first alone, the others together."""
    events = [event(sequence) for sequence in sequences]
    events[-1].kind = ENDED if ended else events[-1].kind
    made = Watcher()
    updates = [
        pb.WatchProcessingSessionResponse(snapshot=pb.Session()),
        pb.WatchProcessingSessionResponse(event=events[0]),
        pb.WatchProcessingSessionResponse(event_group=pb.SessionEventGroup(events=events[1:])),
    ]
    made.messages = [update.SerializeToString() for update in updates]
    return made


def test_a_watcher_is_complete_that_saw_each_event_once_and_the_end():
    """A gap, a duplicate, another order, or no end are told."""
    whole = [watcher(1, 2, 3, 4) for _ in range(3)]
    others = [watcher(1, 2, 4), watcher(1, 2, 2, 3), watcher(2, 1, 3, 4), watcher(1, 2, 3, 4, ended=False)]

    assert count([*whole, *others]) == Seen(watchers=7, complete=3, events=4, messages=21)


async def test_faults_of_a_watch_that_was_cut_are_counted():
    """None where the numbers are 1 to n."""
    async with open_channel(ChannelSettings("127.0.0.1:1")) as channel:
        watch = CutWatch(channel, "s", grouped=True, seed=1)
        found = []
        for sequences in ([1, 2, 3], [1, 3], [1, 2, 2, 3], [2, 1]):
            watch.events = [event(sequence) for sequence in sequences]
            found.append(watch.faults())

    assert found[0] == 0
    assert min(found[1:]) > 0
