"""From a graph of graphs to one flat graph with Input and Output nodes, repaired only where one reading is possible."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from spikeport.converters.findings import Finding
from spikeport.converters.read.nir_file import RawGraph, RawNode
from spikeport.errors import ModelError

Link = tuple[str, str]


@dataclass(frozen=True)
class FlatGraph:
    """Nodes by full name (``subgraph.node``), edges between them, and what had to be decided on the way."""

    nodes: Mapping[str, RawNode]
    links: tuple[Link, ...]
    findings: tuple[Finding, ...]


def flatten_graph(graph: RawGraph) -> FlatGraph:
    """Lift every subgraph into its parent and make sure the whole has an Input and an Output.

    Raises:
        ModelError: dangling, duplicate or ambiguous edges, an empty graph, or inputs and outputs that cannot be told.
    """
    flat = _Flat()
    flat.lift(graph, "")
    flat.splice()
    flat.add_ends()
    flat.refuse_duplicates()
    return FlatGraph(MappingProxyType(flat.nodes), tuple(sorted(flat.links)), tuple(flat.findings))


class _Flat:
    """The graph while it is being flattened; discarded afterwards."""

    def __init__(self) -> None:
        self.nodes: dict[str, RawNode] = {}
        self.links: list[Link] = []
        self.findings: list[Finding] = []
        self.inner: set[str] = set()

    def warn(self, code: str, where: str, message: str, advice: str = "") -> None:
        self.findings.append(Finding(code, "warning", where, message, advice))

    def lift(self, graph: RawGraph, prefix: str) -> None:
        """Add a graph's nodes under ``prefix``, its subgraphs first."""
        for name, node in graph.nodes.items():
            if node.graph is not None:
                self.lift(node.graph, f"{prefix}{name}.")
                continue
            full = prefix + name
            if full in self.nodes:
                raise ModelError(f"two nodes are called '{full}' once subgraphs are flattened. Rename one.")
            self.nodes[full] = node
            if prefix and node.type in ("Input", "Output"):
                self.inner.add(full)
        renamed = self.rename_orphan(graph, prefix)
        for source, target in graph.edges:
            a, b = prefix + renamed.get(source, source), prefix + renamed.get(target, target)
            self.links.append((self.end(a, "Output", (a, b)), self.end(b, "Input", (a, b))))

    def rename_orphan(self, graph: RawGraph, prefix: str) -> dict[str, str]:
        """Met in the NIR paper's own files: edges say 'lif' where the node, in no edge, is called 'lif1'."""
        named = {end for edge in graph.edges for end in edge}
        unknown = sorted(n for n in named if n not in graph.nodes and not self.resolvable(prefix + n))
        orphans = [n for n in graph.nodes if n not in named and not any(x.startswith(n + ".") for x in named)]
        if len(unknown) != 1 or len(orphans) != 1 or not orphans[0].startswith(unknown[0]):
            return {}
        self.warn(
            "edge-name-repaired",
            prefix + orphans[0],
            f"edges name '{unknown[0]}', which does not exist; read as '{orphans[0]}', the only node in no edge.",
            "Rename the node in the file to be sure.",
        )
        return {unknown[0]: orphans[0]}

    def resolvable(self, name: str) -> bool:
        return name in self.nodes or any(known.startswith(name + ".") for known in self.nodes)

    def end(self, name: str, kind: str, link: Link) -> str:
        """A node, or the only Input (Output) of the subgraph that an edge leads into (comes from)."""
        if name in self.nodes:
            return name
        doors = [n for n, node in self.nodes.items() if node.type == kind and n.rpartition(".")[0] == name]
        if len(doors) == 1:
            if doors[0] not in self.inner:
                self.inner.add(doors[0])
                self.warn("edge-name-repaired", name, f"an edge names '{name}'; read as '{doors[0]}'.")
            return doors[0]
        what = f"subgraph '{name}' has {len(doors)} {kind} nodes" if doors else f"there is no node '{name}'"
        raise ModelError(f"edge '{link[0]}' -> '{link[1]}': {what}. Correct the edge in the file.")

    def splice(self) -> None:
        """Take out the Inputs and Outputs of subgraphs: whoever fed them feeds their targets."""
        feeds_input = {b for _, b in self.links if self.nodes[b].type == "Input"}
        fed_by_output = {a for a, _ in self.links if self.nodes[a].type == "Output"}
        for door in sorted(self.inner | feeds_input | fed_by_output):
            before = [a for a, b in self.links if b == door and a != door]
            after = [b for a, b in self.links if a == door and b != door]
            if not before or not after:
                raise ModelError(f"'{door}' inside a subgraph is connected on one side only. Connect or remove it.")
            self.links = [link for link in self.links if door not in link]
            self.links += [(a, b) for a in before for b in after]
            del self.nodes[door]

    def add_ends(self) -> None:
        """Add a missing Input (Output) where exactly one node has nothing before (after) it."""
        if not self.nodes:
            raise ModelError("the graph has no nodes. Export the model again.")
        targets = {b for _, b in self.links}
        if not any(node.type == "Input" for node in self.nodes.values()):
            first = self.only([n for n in self.nodes if n not in targets], "Input", "input")
            self.links.append((self.free("input", "Input"), first))
        sources = {a for a, _ in self.links}
        if not any(node.type == "Output" for node in self.nodes.values()):
            last = self.only([n for n in self.nodes if n not in sources], "Output", "output")
            self.links.append((last, self.free("output", "Output")))

    def only(self, candidates: list[str], kind: str, side: str) -> str:
        if len(candidates) != 1:
            found = f"{len(candidates)} nodes could be the network's {side}: {', '.join(sorted(candidates)[:5])}"
            raise ModelError(f"the graph has no {kind} node, and {found}. Add an {kind} node to the file.")
        self.findings.append(
            Finding("end-added", "info", candidates[0], f"the file has no {kind} node; one is added at this node.")
        )
        return candidates[0]

    def free(self, name: str, kind: str) -> str:
        while name in self.nodes:
            name += "_"
        self.nodes[name] = RawNode(kind, MappingProxyType({}))
        return name

    def refuse_duplicates(self) -> None:
        (source, target), count = Counter(self.links).most_common(1)[0] if self.links else (("", ""), 0)
        if count > 1:
            raise ModelError(
                f"edge '{source}' -> '{target}' is there {count} times; whether that means once or a sum is not clear. "
                "Keep one, or say the factor with a Scale node."
            )
