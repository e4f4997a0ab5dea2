"""Whether six programmings of a network can tell its mean accuracy and AVM as exactly as 25: estimators side by side.

Small networks for the digits are trained as the product trains them and programmed many times as references, and in
sets of six whose noise is drawn in other ways. Of every estimator at the cost of six programmings: its variance
relative to the mean of six independent ones (25 independent ones: 0.24), its bias, and how far the standard deviation
over programmings is off that follows from the six.

    python -m benchmarks.programmings --folder DIR --networks 40 --json

References are kept in the folder, in small pieces, so a run that was stopped goes on; `--measured` takes the networks
whose references are complete and measures nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import _estimators as estimators
from benchmarks._estimators import QUANTITIES, counted, paired, sets

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks._programmed import Network

    Array = NDArray[Any]

#: Programmings of a set, and those of the aim.
BUDGET, AIM = 6, 25
# Mean of the sample standard deviation of six normal values, in that of their distribution.
_C4 = 0.9515
_LEAST_STD = 1e-9


@dataclass(frozen=True)
class Reference:
    """What was measured of one network; margins and probabilities are (programmings, times, images)."""

    margins: dict[str, Array]
    probability: Array
    linear: Array
    clean: Array
    seconds: Array

    @classmethod
    def of(cls, network: Network, references: int) -> Reference:
        """Return what is stored of a network, or compute what is missing but for its programmings."""
        from benchmarks._programmed import PLANS

        stored = {plan: network.stored(plan, references) for plan in PLANS}
        return cls(
            {plan: margin for plan, (margin, _) in stored.items()},
            stored["independent"][1], network.linear(references), network.clean_margins(), network.seconds(),
        )  # fmt: skip

    def sets(self, kind: str) -> Array:
        """Return sets of six programmings of a kind, (sets, 6, times, images)."""
        if kind == "mirrored":
            return paired(self.margins["independent"], self.margins["mirrored"], BUDGET)
        return sets(self.margins[kind], BUDGET)


@dataclass(frozen=True)
class Outcome:
    """What an estimator gives of one network: variance and bias of each quantity, (3,), and of the bias its error."""

    variance: Array
    bias: Array
    error: Array


def by_sets(reference: Reference, kind: str, estimate: Callable[[Array], Array] | None = None) -> Outcome:
    """Return the outcome of an estimator (None: the mean) on sets of a kind.

    The bias of the mean is against the references, that of any other against the means of the same sets.
    """
    of_sets = reference.sets(kind)
    means = np.array([counted(margins).mean(axis=0) for margins in of_sets])
    values = counted(reference.margins["independent"])
    if estimate is None:
        spread = means.var(axis=0, ddof=1) / len(means) + values.var(axis=0, ddof=1) / len(values)
        independent = kind == "independent"  # which the references are
        off = 0 * means[0] if independent else means.mean(axis=0) - values.mean(axis=0)
        return Outcome(means.var(axis=0, ddof=1), off, np.sqrt(0 * spread if independent else spread))
    estimates = np.array([estimate(margins) for margins in of_sets])
    apart = estimates - means
    return Outcome(estimates.var(axis=0, ddof=1), apart.mean(axis=0), apart.std(axis=0, ddof=1) / np.sqrt(len(apart)))


def with_control(values: list[Array], controls: list[Array], first: float, total: float) -> list[Outcome]:
    """Return the outcomes with a control variate, its slopes from the other networks; see ``controlled``."""
    variances = np.empty((len(values), len(QUANTITIES)))
    for column in range(len(QUANTITIES)):
        pairs = [(own[:, column], control[:, column]) for own, control in zip(values, controls, strict=True)]
        for place, (pair, slope) in enumerate(zip(pairs, estimators.slopes(pairs), strict=True)):
            variances[place, column] = estimators.controlled(*pair, slope, first, total)[1]
    nothing = np.zeros(len(QUANTITIES))
    return [Outcome(variance, nothing, nothing) for variance in variances]


def regressed(references: list[Reference]) -> list[Outcome]:
    """Return the outcomes of the mean probability of the right class, turned into accuracy as other networks tell."""
    soft = [quantity_sets(reference.probability) for reference in references]
    means = np.array([counted(reference.margins["independent"]).mean(axis=0) for reference in references])
    outcomes = []
    for place, own in enumerate(soft):
        others = [number for number in range(len(references)) if number != place]
        estimates = np.empty_like(own)
        for column in range(len(QUANTITIES)):
            x = np.array([soft[number][:, column].mean() for number in others])
            slope, shift = (
                np.polyfit(x, means[others, column], 1) if np.ptp(x) > 0 else (0.0, means[others, column].mean())
            )
            estimates[:, column] = shift + slope * own[:, column]
        off = estimates.mean(axis=0) - means[place]
        error = estimates.std(axis=0, ddof=1) / np.sqrt(len(estimates))
        outcomes.append(Outcome(estimates.var(axis=0, ddof=1), off, error))
    return outcomes


def quantity_sets(probability: Array) -> Array:
    """Return the quantities of the mean probability over sets of six, (sets, 3)."""
    return estimators.quantities(100.0 * sets(probability, BUDGET).mean(axis=(1, 3)))


def hardest(references: list[Reference]) -> tuple[str, list[Outcome]]:
    """Return the outcomes of a few programmings on all images and many on those of the smallest clean margins.

    Both together take as long as six programmings on all images; the share of images and the number of the few are
    those that are best over all networks.
    """
    from benchmarks._programmed import SHARES

    seconds = np.mean([reference.seconds / reference.seconds[:2].sum() for reference in references], axis=0)
    values = [counted(reference.margins["independent"]) for reference in references]
    best: tuple[float, str, list[Outcome]] | None = None
    for number, share in enumerate(SHARES[1:], start=2):
        controls = []
        for reference in references:
            hard = np.argsort(np.abs(reference.clean))[: max(1, round(share * len(reference.clean)))]
            controls.append(counted(reference.margins["independent"][:, :, hard]) * len(hard) / len(reference.clean))
        for few in (1, 2, 3, 4):
            many = (BUDGET - few - seconds[1] / 3) / (seconds[0] + seconds[number])
            if many < 1:
                continue
            outcomes = with_control(values, controls, few, few + many)
            relative = float(np.mean([outcome.variance for outcome in outcomes] / _unit(references)))
            if best is None or relative < best[0]:
                best = relative, f"{few} on all images, {many:.0f} on {100 * share:.0f} %", outcomes
    assert best is not None
    return best[1], best[2]


def _unit(references: list[Reference]) -> Array:
    """Return the variances of the mean of six independent programmings, (networks, 3)."""
    return np.array([counted(r.margins["independent"]).var(axis=0, ddof=1) / BUDGET for r in references])


def spreads(references: list[Reference], kind: str) -> dict[str, float]:
    """Return how far the standard deviation of acc_1d is off in sets of a kind: its mean error and its spread, percent.

    It is the sample's, freed of its bias with six independent values.
    """
    off = []
    for reference in references:
        true = counted(reference.margins["independent"])[:, 0].std(ddof=1)
        own = np.array([counted(margins)[:, 0].std(ddof=1) for margins in reference.sets(kind)]) / _C4
        off.append(own / max(true, _LEAST_STD) - 1)
    return {
        "mean": 100 * float(np.mean([np.mean(o) for o in off])),
        "rms": 100 * float(np.sqrt(np.mean([np.mean(o**2) for o in off]))),
    }


def common(references: list[Reference]) -> list[float]:
    """Return by quantity the variance of a difference of two networks with common numbers, relative to independent."""
    values = [counted(reference.margins["independent"]) for reference in references]
    relative = []
    for column in range(len(QUANTITIES)):
        table = np.cov(np.array([own[:, column] for own in values]))
        apart = table.sum() - np.trace(table)
        relative.append(float(1 - apart / ((len(values) - 1) * np.trace(table))) if len(values) > 1 else 1.0)
    return relative


def compare(references: list[Reference]) -> dict[str, Any]:
    """Return the table: of each estimator variance relative to independent programmings, bias and its error."""
    values = [counted(reference.margins["independent"]) for reference in references]
    linear = [counted(reference.linear) for reference in references]
    how, hard = hardest(references)
    rows = {
        "independent": [by_sets(reference, "independent") for reference in references],
        "mirrored": [by_sets(reference, "mirrored") for reference in references],
        "stratified": [by_sets(reference, "latin") for reference in references],
        "stratified and mirrored": [by_sets(reference, "symmetric") for reference in references],
        "control: linearised": with_control(values, linear, BUDGET, len(linear[0])),
        "soft accuracy, regressed": regressed(references),
        f"control: hardest images ({how})": hard,
    }
    for name, estimate in (("normal margins", estimators.normal), ("spread of margins", estimators.empirical)):
        for kind, said in (("independent", ""), ("mirrored", ", mirrored"), ("symmetric", ", stratified and mirrored")):
            rows[f"{name}{said}"] = [by_sets(reference, kind, estimate) for reference in references]
    unit = _unit(references)
    table: dict[str, Any] = {}
    for name, outcomes in rows.items():
        bias = np.array([outcome.bias for outcome in outcomes])
        error = np.array([outcome.error for outcome in outcomes])
        table[name] = {
            quantity: {
                "variance": float(np.mean([outcome.variance[column] for outcome in outcomes] / unit[:, column])),
                "bias": float(bias[:, column].mean()),
                "bias_error": float(np.sqrt((error[:, column] ** 2).sum()) / len(outcomes)),
                "bias_rms": float(np.sqrt(max(0.0, np.mean(bias[:, column] ** 2 - error[:, column] ** 2)))),
            }
            for column, quantity in enumerate(QUANTITIES)
        }
    means = np.array([own.mean(axis=0) for own in values])
    return {
        "networks": len(references),
        "references": len(values[0]),
        "budget": BUDGET,
        "aim": BUDGET / AIM,
        "acc_1d": {"least": float(means[:, 0].min()), "most": float(means[:, 0].max())},
        "std_1d": float(np.sqrt(np.mean([own[:, 0].var(ddof=1) for own in values]))),
        "estimators": table,
        "std_of_std": {kind: spreads(references, kind) for kind in ("independent", "mirrored", "latin", "symmetric")},
        "common_numbers": dict(zip(QUANTITIES, common(references), strict=True)),
    }


def measure(networks: Iterable[Network], count: int, only_measured: bool) -> list[Reference]:
    """Measure what is missing of networks, unless only those are wanted that are complete; return what there is."""
    from benchmarks._programmed import PLANS, chunks_of

    references = []
    for network in networks:
        missing = [] if only_measured else [(plan, first) for plan in PLANS for first in chunks_of(plan, count)]
        for plan, first in missing:
            network.measure(plan, first)
        if network.complete(count):
            references.append(Reference.of(network, count))
            print(f"{network.architecture.id}: {network.architecture.params:,} parameters", file=sys.stderr)
    return references


def show(report: dict[str, Any]) -> None:
    """Print the table."""
    accuracy = report["acc_1d"]
    print(f"{report['networks']} networks, {report['references']} references each; aim {report['aim']:.2f}")
    print(f"acc_1d {accuracy['least']:.1f} to {accuracy['most']:.1f}, std {report['std_1d']:.2f}")
    print(f"{'variance, bias (its error; root mean square)':58}" + "".join(f"{name:>28}" for name in QUANTITIES))
    for name, row in report["estimators"].items():
        cells = [
            f"{c['variance']:5.2f} {c['bias']:+.3f} ({c['bias_error']:.3f}; {c['bias_rms']:.2f})" for c in row.values()
        ]
        print(f"{name:58}" + "".join(f"{cell:>28}" for cell in cells))
    for kind, off in report["std_of_std"].items():
        print(
            f"std of acc_1d from six, {kind}: {off['mean']:+.0f} % off on average, {off['rms']:.0f} % root mean square"
        )
    said = ", ".join(f"{name} {value:.2f}" for name, value in report["common_numbers"].items())
    print(f"variance of differences between networks with common numbers: {said}")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where networks and references are kept")
    parser.add_argument("--networks", type=int, default=40, help="how many, at most 40")
    parser.add_argument("--references", type=int, default=400, help="programmings of each, a multiple of 40")
    parser.add_argument("--measured", action="store_true", help="measure nothing, take those that are complete")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import torch

    from benchmarks._programmed import networks

    torch.set_num_threads(1)
    chosen = networks(arguments.networks, arguments.folder, only_known=arguments.measured)
    references = measure(chosen, arguments.references, arguments.measured)
    if len(references) < 2:
        raise SystemExit(f"{len(references)} networks are complete in {arguments.folder}: two are needed.")
    report = compare(references)
    print(json.dumps(report)) if arguments.json else show(report)


if __name__ == "__main__":
    main()
