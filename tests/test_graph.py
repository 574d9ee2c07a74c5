"""Feedback is found from the graph alone: where the step of delay sits, and that no order in the file matters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeport.converters.graph import delay_feedback, order
from spikeport.converters.network import Edge
from spikeport.errors import ModelError

Link = tuple[str, str]
RECURRENT = [("in", "fc"), ("fc", "lif"), ("lif", "rec"), ("rec", "lif"), ("lif", "out")]


def delayed(links: list[Link], neurons: set[str], **options: object) -> set[Link]:
    edges = delay_feedback(links, ["in"], neurons, **options)  # type: ignore[arg-type]
    return {(e.source, e.target) for e in edges if e.delay == 1}


def test_chain_has_no_delay() -> None:
    assert delayed([("in", "a"), ("a", "b"), ("b", "out")], {"b"}) == set()


def test_delay_sits_on_the_edge_that_leaves_the_neuron() -> None:
    assert delayed(RECURRENT, {"lif"}) == {("lif", "rec")}


def test_delay_can_sit_where_the_cycle_closes() -> None:
    assert delayed(RECURRENT, {"lif"}, at_neuron=False) == {("rec", "lif")}


def test_self_loop_is_delayed() -> None:
    assert delayed([("in", "lif"), ("lif", "lif"), ("lif", "out")], {"lif"}) == {("lif", "lif")}


def test_top_down_feedback_across_layers_delays_only_the_way_back() -> None:
    links = [("in", "l1"), ("l1", "fc"), ("fc", "l2"), ("l2", "fb"), ("fb", "l1"), ("l2", "out")]
    assert delayed(links, {"l1", "l2"}) == {("l2", "fb")}


def test_nested_loops_are_all_broken() -> None:
    links = [*RECURRENT[:-1], ("lif", "fc2"), ("fc2", "l2"), ("l2", "r2"), ("r2", "l2"), ("l2", "fb"), ("fb", "fc")]
    assert delayed(links, {"lif", "l2"}) == {("lif", "rec"), ("l2", "r2"), ("l2", "fb")}


def test_linear_node_shared_with_the_forward_way_keeps_that_way_undelayed() -> None:
    links = [("in", "lif"), ("lif", "scale"), ("scale", "lif"), ("scale", "out")]
    assert delayed(links, {"lif"}) == {("scale", "lif")}


def test_two_neurons_that_feed_each_other_from_equal_distance_are_treated_alike() -> None:
    links = [("in", "a"), ("in", "b"), ("a", "b"), ("b", "a"), ("a", "out")]
    assert delayed(links, {"a", "b"}) == {("a", "b"), ("b", "a")}


def test_cycle_through_a_delay_node_needs_no_other() -> None:
    links = [("in", "fc"), ("fc", "d"), ("d", "fc"), ("fc", "out")]
    assert delayed(links, set(), delays={"d"}) == set()


def test_linear_cycle_without_delay_is_refused_by_name() -> None:
    with pytest.raises(ModelError, match="'a', 'b': a cycle without any neuron"):
        delayed([("in", "a"), ("a", "b"), ("b", "a"), ("b", "out")], set())


def test_node_that_no_input_reaches_is_refused() -> None:
    with pytest.raises(ModelError, match="'lost'"):
        order(["in", "out", "lost"], [Edge("in", "out"), Edge("lost", "out")], ["in"])


def test_undelayed_cycle_in_a_written_network_is_refused() -> None:
    with pytest.raises(ModelError, match="without a step of delay"):
        order(["in", "a", "b"], [Edge("in", "a"), Edge("a", "b"), Edge("b", "a")], ["in"])


@given(data=st.data())
def test_file_order_means_nothing(data: st.DataObject) -> None:
    names = [f"n{i}" for i in range(data.draw(st.integers(2, 8)))]
    pairs = st.tuples(st.sampled_from(names), st.sampled_from(names))
    links = [("in", names[0]), *sorted(data.draw(st.sets(pairs, max_size=16)))]
    shuffled = data.draw(st.permutations(links))
    neurons = set(names)
    edges = delay_feedback(links, ["in"], neurons)
    assert delay_feedback(shuffled, ["in"], neurons) == edges
    reached = {"in", names[0]}
    while more := {b for a, b in links if a in reached} - reached:
        reached |= more
    inside = [e for e in edges if e.source in reached]
    placed = order(sorted(reached), inside, ["in"])
    assert all(placed.index(e.source) < placed.index(e.target) for e in inside if e.delay == 0)
