"""Bad numbers, arrays and shapes for all that readers call: an answer, or an error that says what to do.

Each row of the table calls a function in a way that works. Then one argument at a time is replaced by what is
wrong: not finite, negative, zero, a fraction, empty, of another shape or dtype. No call may hang, none gives
NaN for finite input, and an error is a ValueError that says what it got and expected, or a TypeError.
"""

import dataclasses
import math
import re
import signal
import sys
from functools import partial

import numpy as np
import pytest
import torch

import nnbook
from nnbook import (
    ads_dl,
    autoregressive_fields,
    boltzmann_machines,
    derivatives,
    discrete_geometry,
    emergent_geometry,
    emergent_qm,
    flow_samplers,
    holographic_qcd,
    learning_basics,
    matter_in_a_box,
    network_spacetime,
    networks,
    networks_as_tensors,
    nuclei_and_matter,
    path_integrals,
    physics_informed,
    polytopes,
    quantum_dots,
    rg_flows,
    show,
    symmetries,
    text,
)
from nnbook.continuum import determinants, local_energy, nucleons, radial, systems
from nnbook.continuum import factors as electrons
from nnbook.dynamics import bulk, equations, integrators, mesons, probes, splines, strings
from nnbook.exact import (
    chains,
    enumerate,
    ewald,
    holography,
    ising2d,
    lines,
    pairs,
    paths,
    shells,
    solutions,
    transfer,
)
from nnbook.exact import nucleons as few_nucleons
from nnbook.fields import actions, conditionals, flows, hierarchy, learning, made, scalars
from nnbook.fields import machines as field_machines
from nnbook.fields import walkers as field_walkers
from nnbook.geometry import complexes, level_sets, linear_pieces, network, point_groups, solids, sphere
from nnbook.particles import grid, hamiltonian, sectors, solve, waves
from nnbook.sample import clusters, estimates, hmc, importance, metropolis
from nnbook.sample import walkers as in_space
from nnbook.spins import (
    entanglement,
    hamiltonians,
    imaginary_time,
    lattices,
    machines,
    machines_as_tensors,
    states,
    tensors,
    walkers,
)
from nnbook.train import (
    first_order,
    gauss_newton,
    inverse,
    linear_method,
    log_weights,
    problems,
    quasi_newton,
    reconfiguration,
    sampled,
)

F = {"dtype": torch.float64}


def dice():
    return torch.Generator().manual_seed(1)


def some(*shape):
    return torch.randn(shape, generator=dice(), **F)


def numbers(*shape):
    return some(*shape).numpy()


def mlp(*sizes, activation="softplus"):
    inputs, *hidden, outputs = sizes
    return networks.MLP(inputs, hidden, outputs, activation=activation, generator=dice(), **F)


def net(*sizes):
    return network.PolytopeNet(3, (4,), (1.0,), generator=dice())


def harmonic(points=12):
    return hamiltonian.Hamiltonian(grid.Grid(points, 4.0), lambda x: x**2)


def pair():
    return hamiltonian.trapped("boson", grid.Grid(6, 4.0))


def psi():
    return torch.exp(-(torch.linspace(-4, 4, 11, **F) ** 2))


def model():
    return hamiltonians.ising(lattices.chain(4), field=1.0)


def machine():
    return states.RestrictedBoltzmannMachine(4, 4, generator=dice())


def spins():
    return lattices.all_spins(4)[3:6]


def mps():
    return [some(2, 1, 2), some(2, 2, 2), some(2, 2, 1)]


def rows_of_spins():
    return transfer.IsingRows(0.4, 3, 2)


def path():
    return paths.ImaginaryTime(paths.double_well, 2.0, 8)


def masked(conditional="bernoulli", **options):
    return made.MADE(N, 2, conditional=conditional, generator=dice(), **options)


def small_hierarchy():
    return hierarchy.Hierarchy(2, depth=1, couplings=2, hidden=1, generator=dice())


def terms():
    return [physics_informed.Term("wave", lambda x, u: u.value, some(5, 2))]


def residuals():
    return physics_informed.Residuals(mlp(2, 3, 1, activation="tanh"), terms())


def sum_over_paths(**options):
    return path_integrals.PathSum(path_integrals.Quartic(0.5, 1.0), 0.2, 4, **options)


def calm_motion():
    return network_spacetime.Motion(lambda x: -x.tanh(), lambda x: x.tanh() ** 2 - 1, end=1.0, steps=4)


def region():
    return physics_informed.Region(torch.zeros(2, **F), torch.ones(2, **F))


def box():
    return linear_pieces.square(1.0)


def quotient():
    return {"points": some(8, 1), "operator": lambda f: f, "weights": torch.ones(8, **F), "below": None}


def convex():
    return {"points": some(8, 2), "data": some(8, 1), "weights": torch.ones(8, **F)}


def brane():
    return bulk.BulkFlow(bulk.BulkMetric.schwarzschild())


def head():
    return symmetries.Attention(3, 2, project=True, generator=dice())


def linear_ode():
    return symmetries.LinearODE(2, 8, generator=dice())


def numbers_above(*shape):
    return some(*shape).abs() + 0.1


def condensates():
    data = holographic_qcd.lattice_data()
    return holographic_qcd.Condensate(data.mass[::2], data.condensate[::2])


def bowl(x):
    return (x - 1).square().sum(1), 2 * (x - 1)


def calm(x):
    return ((x - 1) ** 2).sum()


def calm_rows(x):
    return x.square().sum(1) / 2


def binary(*sizes):
    return field_machines.BinaryMachine(*sizes, generator=dice())


def images():
    return boltzmann_machines.bars_and_stripes(2)


def white():
    return scalars.GaussianField(torch.ones(4, 4, **F))


def moving():
    return flows.EquivariantFlow(white(), flows.orbits(4), (1.0,), times=2, steps=2)


def trained(**options):
    x = torch.ones(1, **F, requires_grad=True)
    return first_order.fit(lambda: (x**2).sum(), [x], **options)


def drawn(**options):
    return metropolis.metropolis(model().walkers(machine(), spins()), generator=dice(), **options)


def trap():
    return systems.Trap(6)


def dot():
    return quantum_dots.network(trap(), 2, 2, generator=dice())


def neutrons():
    return matter_in_a_box.Neutrons(14, 0.04)


def matter():
    return matter_in_a_box.network(neutrons(), 2, 2, generator=dice())


def cube():
    return neutrons().start(3, generator=dice())


def helium():
    return nucleons.Nucleus(4, few_nucleons.pionless(4))


def bound():
    field = nucleons.Spins(4, [1.0, 2.0], [0.3, 0.1])
    return nuclei_and_matter.Product(nucleons.Correlator(4, 4.0, 2, 2, generator=dice()), field)


def triton():
    return nuclei_and_matter.Product(nucleons.Correlator(3, 4.0, 2, 2, generator=dice()))


def place():
    return trap().start(3, generator=dice())


def method(name, make, **arguments):
    """A method of an object made anew for each call."""
    return lambda **changed: getattr(make(), name)(**changed), arguments


def dataclass_of(kind, make):
    return kind, make()


N = 4  # sites
TABLE = {
    "networks.MLP": (networks.MLP, {"inputs": 2, "hidden": (3,), "outputs": 1, "activation": "tanh"}),
    "networks.MLP.forward": method("forward", lambda: mlp(2, 3, 1), x=some(5, 2)),
    "networks.MLP.place_kinks": method("place_kinks", lambda: mlp(2, 3, 1), points=some(3, 2), scale=1.0),
    "networks.random_parameter": (networks.random_parameter, {"shape": (2, 3), "std": 1.0}),
    "networks.assign": (lambda vector: networks.assign(mlp(1, 2, 1), vector), {"vector": some(7)}),
    "networks.activation_function": (networks.activation_function, {"name": "tanh"}),
    "networks.jacobian": (
        partial(networks.jacobian, networks.as_function(mlp(2, 3, 1))),
        {"vector": some(13), "x": some(5, 2)},
    ),
    "derivatives.jet": (partial(derivatives.jet, mlp(2, 3, 1, activation="tanh")), {"x": some(5, 2)}),
    "derivatives.slope": (
        lambda along: derivatives.slope(
            some(5, 2), derivatives.jet(mlp(2, 3, 1, activation="tanh"), some(5, 2)), along=along
        ),
        {"along": 1},
    ),
    "runtime.start": (
        partial(nnbook.start, quiet=True),
        {"seed": 1, "device": "cpu", "budget": "quick", "threads": 1},
    ),
    "text.scientific": (text.scientific, {"value": 1.0, "digits": 1}),
    "show.Curve": (lambda **a: show.Curve(**a).traces(), {"name": "a", "x": numbers(5), "y": numbers(5)}),
    "show.slider": (
        partial(show.slider, lambda a: [show.Curve("a", np.arange(3), a * np.arange(3))]),
        {"values": [1.0, 2.0], "name": "a"},
    ),
    "text.Table": (text.Table, {"header": ("a", "b"), "rows": [[1, 2]]}),
    # exact answers
    **{
        f"exact.{f.__name__}": (f, {"sites": 8, "field": 0.5})
        for f in (
            chains.ising_energy,
            chains.ising_gap,
            chains.ising_pair_gap,
            chains.ising_correlation,
            chains.ising_order,
            chains.ising_transverse,
        )
    },
    "exact.heisenberg_energy": (chains.heisenberg_energy, {"sites": 8}),
    "exact.numbers": (enumerate.numbers, {"sites": N}),
    "exact.configurations": (enumerate.configurations, {"sites": N}),
    "exact.lattice_states": (lines.lattice_states, {"values": numbers(12), "h": 0.1, "states": 2}),
    "exact.separated": (
        lines.separated,
        {"omega": 1.0, "interaction": None, "statistics": "boson", "states": 2, "points": 90},
    ),
    "exact.oscillation": (solutions.oscillation, {"t": numbers(3), "damping": 0.1, "frequency": 1.0}),
    "exact.cole_hopf": (solutions.cole_hopf, {"t": np.ones(3), "x": numbers(3), "viscosity": 0.1}),
    "exact.breather": (solutions.breather, {"t": np.ones(3), "x": numbers(3)}),
    "exact.split_step": (
        solutions.split_step,
        {"h": numbers(8), "length": 1.0, "duration": 0.1, "steps": 4, "order": 4},
    ),
    "exact.torus": (ising2d.torus, {"beta": 0.4, "length": 4, "columns": 3}),
    "Ring": (
        lambda first: transfer.Ring([first, np.ones((2, 3))]).log_z,
        {"first": np.abs(numbers(3, 2))},
    ),
    "Ring.sample": method("sample", lambda: rows_of_spins().ring, n=3, rng=np.random.default_rng(1)),
    "IsingRows": (lambda **a: transfer.IsingRows(**a).log_z, {"beta": 0.4, "length": 3, "columns": 2}),
    "IsingRows.sample": method("sample", rows_of_spins, n=3, rng=np.random.default_rng(1)),
    "IsingRows.correlation": method("correlation", rows_of_spins, distance=1),
    "ImaginaryTime on a lattice": (
        lambda **a: paths.ImaginaryTime(paths.double_well, **a).log_z,
        {"beta": 2.0, "times": 8, "reach": 4.0, "points": 80},
    ),
    "ImaginaryTime.levels": method("levels", path, count=2),
    "ImaginaryTime.correlation": method("correlation", path, function=np.square, distance=1),
    "ImaginaryTime.sample": method("sample", path, n=3, rng=np.random.default_rng(1), block=2),
    "exact.double_well": (paths.double_well, {"x": numbers(5)}),
    "exact.instanton": (paths.instanton, {"strength": 4.0, "minimum": 1.4}),
    "exact.brane": (holography.brane, {"d": 3}),
    "exact.strip": (partial(holography.strip, f=holography.brane(3)), {"turn": 0.5}),
    "exact.string": (partial(holography.string, f=holography.brane(3)), {"turn": 0.5}),
    "exact.soft_wall": (holography.soft_wall, {"z": np.array([0.5, 2.0]), "c": 0.15}),
    # fields
    "Ising": (actions.Ising, {"length": 3, "beta": 0.4}),
    "IsingField": (actions.IsingField, {"length": 3, "beta": 0.4}),
    **{
        f"IsingField.{name}": method(
            name, lambda: actions.IsingField(2, 0.4), **{argument: some(3, 4)}, generator=dice()
        )
        for name, argument in (("spins", "x"), ("field", "s"))
    },
    "IsingField.__call__": (actions.IsingField(2, 0.4), {"x": some(3, 4)}),
    "IsingField.with_gradient": (actions.IsingField(2, 0.4).with_gradient, {"x": some(3, 4)}),
    "Block": (
        partial(hierarchy.Block, generator=dice()),
        {"couplings": 2, "hidden": 2, "symmetry": "Z2"},
    ),
    **{
        f"Block.{name}": method(name, lambda: hierarchy.Block(2, 1, generator=dice()), block=some(3, 4, 1))
        for name in ("forward", "inverse")
    },
    "Hierarchy": (
        partial(hierarchy.Hierarchy, generator=dice()),
        {"length": 2, "depth": 1, "couplings": 2, "hidden": 2, "symmetry": "Z2"},
    ),
    **{
        f"Hierarchy.{name}": method(name, small_hierarchy, **{argument: some(3, 4)})
        for name, argument in (("forward", "z"), ("inverse", "x"), ("log_prior", "z"), ("log_prob", "x"))
    },
    "Hierarchy.coarse": method("coarse", small_hierarchy, x=some(3, 4), scale=0),
    "Hierarchy.sample": method("sample", small_hierarchy, n=3, generator=dice()),
    "mutual_information": (enumerate.mutual_information, {"joint": abs(numbers(3, 4))}),
    "rule_information": (enumerate.rule_information, {"joint": abs(numbers(3, 4))}),
    "gaussian_information": (
        lambda covariance: rg_flows.gaussian_information(covariance, [0], [1]),
        {"covariance": torch.eye(2, **F)},
    ),
    "rg_flows.fit_gaussian": (
        lambda **a: rg_flows.fit_gaussian(small_hierarchy(), **a),
        {"covariance": torch.eye(4, **F), "steps": 2},
    ),
    "rg_flows.fit_bound": (
        lambda **a: rg_flows.fit_bound(small_hierarchy(), actions.IsingField(2, 0.4), generator=dice(), **a),
        {"steps": 2, "batch": 3, "rate": 1e-2, "last": 1e-3},
    ),
    "rg_flows.fit_action": (
        lambda **a: rg_flows.fit_action(
            small_hierarchy(), actions.IsingField(2, 0.4), lambda n: some(n, 4), generator=dice(), **a
        ),
        {"steps": 2, "batch": 30, "own": 0.5, "rate": 1.0, "last": 0.1, "trust": 0.1},
    ),
    "block_joint": (rg_flows.block_joint, {"beta": 0.4, "length": 3}),
    "fit_rule": (rg_flows.fit_rule, {"joint": abs(numbers(3, 4)), "seed": 1, "steps": 2, "starts": 2}),
    "free_covariance": (rg_flows.free_covariance, {"length": 3, "mass2": 0.5}),
    "haar": (rg_flows.haar, {"length": 4}),
    "bulk_distance": (rg_flows.bulk_distance, {"length": 4}),
    "bulk_information": (rg_flows.bulk_information, {"covariance": torch.eye(3, **F)}),
    "XY": (actions.XY, {"length": 3, "beta": 0.4}),
    "QuantumPath": (actions.QuantumPath, {"times": 4, "beta": 2.0, "strength": 4.0, "minimum": 1.4}),
    **{
        f"{type(action).__name__}.{name}": (getattr(action, name), {argument: x})
        for action, argument, x, names in [
            (actions.Ising(3, 0.4), "s", lattices.all_spins(9)[3:6], ("energy", "__call__")),
            (actions.XY(3, 0.4), "angles", some(3, 9), ("energy", "__call__", "helicity", "vortices")),
            (actions.QuantumPath(4, 2.0), "x", some(3, 4), ("kinetic", "potential", "__call__", "kinks")),
            (
                scalars.Phi4(3, -1.0, 1.0),
                "x",
                some(3, 9),
                ("lattice", "__call__", "with_gradient", "gradient"),
            ),
            (
                scalars.ComplexPhi4(3, 1.0, -1.0, 1.0),
                "x",
                some(3, 18),
                (
                    "lattice",
                    "__call__",
                    "with_gradient",
                    "gradient",
                    "angles",
                    "order",
                    "helicity",
                    "vortices",
                ),
            ),
        ]
        for name in names
    },
    **{
        f"{type(action).__name__}.start": method("start", lambda action=action: action, n=3, generator=dice())
        for action in (
            actions.Ising(3, 0.4),
            actions.XY(3, 0.4),
            actions.QuantumPath(4, 2.0),
            scalars.Phi4(3, -1.0, 1.0),
            scalars.ComplexPhi4(3, 1.0, -1.0, 1.0),
        )
    },
    "Phi4": (scalars.Phi4, {"length": 3, "mass2": -1.0, "coupling": 1.0}),
    "ComplexPhi4": (scalars.ComplexPhi4, {"length": 3, "hopping": 1.0, "mu": -1.0, "coupling": 1.0}),
    "ComplexPhi4.like_xy": (
        scalars.ComplexPhi4.like_xy,
        {"length": 3, "temperature": 1.0, "coupling": 1.0, "density": 1.0},
    ),
    "hartley": (scalars.hartley, {"length": 3}),
    "momenta2": (scalars.momenta2, {"length": 3}),
    "orbits": (flows.orbits, {"length": 4, "radius": 2.0}),
    "propagators": (flows.propagators, {"length": 4, "masses2": (0.5,)}),
    "GaussianField": (scalars.GaussianField, {"variance": white().variance, "components": 1}),
    "GaussianField.sample": method("sample", lambda: white(), n=3, generator=dice()),
    "GaussianField.log_prob": method("log_prob", lambda: white(), x=some(3, 16)),
    "GaussianField.colour": method("colour", lambda: white(), noise=some(3, 16)),
    "EquivariantFlow": (
        partial(flows.EquivariantFlow, white()),
        {"kernels": flows.orbits(4), "frequencies": (1.0,), "times": 2, "steps": 2},
    ),
    "EquivariantFlow.sample": method("sample", lambda: moving(), n=3, generator=dice(), steps=2),
    "EquivariantFlow.log_prob": method("log_prob", lambda: moving(), x=some(3, 16), steps=2),
    "EquivariantFlow.transport": method("transport", lambda: moving(), z=some(3, 16), steps=2),
    "EquivariantFlow.log_weights": method(
        "log_weights", lambda: moving(), action=hmc.with_gradient(calm_rows), z=some(3, 16), steps=2
    ),
    "hmc": (
        partial(hmc.hmc, hmc.with_gradient(calm_rows), generator=dice()),
        {"start": some(3, 2), "samples": 2, "step": 0.1, "leaps": 2, "warm_up": 1, "jitter": 0.1},
    ),
    "recipe": (
        partial(flow_samplers.recipe, white()),
        {"frequencies": (1.0,), "masses2": (0.5,), "radius": 2.0, "times": 2, "steps": 2},
    ),
    "flow_samplers.train": (
        lambda **a: flow_samplers.train(moving(), hmc.with_gradient(calm_rows), generator=dice(), **a),
        {
            "steps": 1,
            "batch": 8,
            "rules": (2,),
            "rate": 1.0,
            "last": 0.1,
            "trust": 0.1,
            "damping": 0.1,
            "ridge": 1e-3,
            "clip": 3.0,
        },
    ),
    "train_adam": (
        lambda **a: flow_samplers.train_adam(moving(), hmc.with_gradient(calm_rows), generator=dice(), **a),
        {"steps": 1, "batch": 8, "rules": (2,), "rate": 1e-3},
    ),
    "flow_samplers.weigh": (
        lambda **a: flow_samplers.weigh(moving(), calm_rows, generator=dice(), **a),
        {"n": 200, "steps": 2, "batch": 100},
    ),
    "forward_ess": (
        lambda **a: flow_samplers.forward_ess(moving(), calm_rows, **a),
        {"x": some(9, 16), "steps": 2},
    ),
    "wolff": (
        partial(flow_samplers.wolff, generator=dice()),
        {"spins": lattices.all_spins(4)[3:6], "bonds": torch.tensor([[0, 1], [1, 2]]), "beta": 0.4},
    ),
    "clipped": (log_weights.clipped, {"f": some(5), "deviations": 3.0}),
    "fit_log_weights": (
        lambda **a: log_weights.fit_log_weights(
            lambda: (some(9), some(9, 7)), mlp(1, 2, 1), generator=dice(), **a
        ),
        {
            "steps": 2,
            "rate": 1.0,
            "last": 0.1,
            "trust": 0.1,
            "damping": 0.1,
            "ridge": 1e-3,
            "momentum": 0.5,
            "every": 1,
        },
    ),
    "wrap": (actions.wrap, {"angle": some(5)}),
    "frontier": (made.frontier, {"bonds": actions.Ising(2, 0.4).bonds()}),
    "MADE": (
        partial(made.MADE, generator=dice()),
        {
            "sites": N,
            "hidden": 2,
            "conditional": "bernoulli",
            "components": 2,
            "context": torch.ones(N, N).tril(-1),
            "couplings": some(N, N),
        },
    ),
    **{
        f"MADE.{name}, {kind}": method(name, partial(masked, kind), x=x)
        for kind, x in [
            ("bernoulli", spins()),
            ("gaussian_mixture", some(3, N)),
            ("von_mises", some(3, N)),
            ("beta", some(3, N)),
        ]
        for name in ("conditionals", "log_prob")
    },
    **{
        f"MADE.sample, {kind}": method("sample", partial(masked, kind), n=3, generator=dice())
        for kind in conditionals.CONDITIONALS
    },
    **{
        f"conditionals.{kind.__name__}": (kind, {"components": 2})
        for kind in conditionals.CONDITIONALS.values()
        if kind is not conditionals.Bernoulli
    },
    "learning.Hamiltonian": (
        lambda beta, constant: learning.Hamiltonian(masked(), beta, constant)(spins()),
        {"beta": 0.4, "constant": 1.0},
    ),
    "learning.log_prob": (
        partial(learning.log_prob, masked()),
        {"x": spins()},
    ),
    "symmetries": (actions.symmetries, {"length": 3}),
    "weigh": (
        lambda n: learning.weigh(made.MADE(9, 0), actions.Ising(3, 0.4), n, generator=dice()),
        {"n": 200},
    ),
    "fit_likelihood": (
        lambda **a: learning.fit_likelihood(masked(), generator=dice(), **a),
        {"data": spins(), "steps": 2, "batch": 2, "rate": 1e-2, "last": 1e-3},
    ),
    "fit_free_energy": (
        lambda **a: learning.fit_free_energy(
            made.MADE(9, 0), actions.Ising(3, 0.4).energy, generator=dice(), **a
        ),
        {"beta": 0.4, "steps": 2, "batch": 3, "rate": 1e-2, "last": 1e-3, "anneal": 0.5},
    ),
    "xy_sweep": (
        lambda angles: field_walkers.xy_sweep(actions.XY(2, 0.4), angles, generator=dice()),
        {"angles": some(3, 4)},
    ),
    "xy_samples": (
        partial(field_walkers.xy_samples, actions.XY(2, 0.4), generator=dice()),
        {"chains": 2, "samples": 2, "sweeps": 1, "warm_up": 1},
    ),
    "xy_torus": (transfer.xy_torus, {"beta": 0.5, "length": 3, "rows": 60}),
    "dipoles": (autoregressive_fields.dipoles, {"length": 3, "strength": 0.5}),
    "domains": (
        partial(autoregressive_fields.domains, generator=dice()),
        {"couplings": autoregressive_fields.dipoles(3), "beta": 0.4, "images": 2, "sweeps": 1},
    ),
    "mix": (autoregressive_fields.mix, {"one": 3.0, "other": 2.0, "third": 1.0}),
    "roc": (
        lambda score: autoregressive_fields.roc(score, torch.arange(5) < 2),
        {"score": some(5)},
    ),
    "RingNetwork": (
        partial(autoregressive_fields.RingNetwork, generator=dice()),
        {"times": 4, "hidden": 3, "components": 2},
    ),
    "RingNetwork.log_prob": method("log_prob", lambda: autoregressive_fields.RingNetwork(4), x=some(3, 4)),
    "RingNetwork.sample": method(
        "sample", lambda: autoregressive_fields.RingNetwork(4), n=3, generator=dice()
    ),
    "critical_temperature": (
        autoregressive_fields.critical_temperature,
        {"table": autoregressive_fields.MAGNET, "exponent": 0.3, "power": 1.0, "errors": np.ones(6)},
    ),
    "BinaryMachine": (
        lambda first, **a: field_machines.BinaryMachine(first, 2, generator=dice(), **a),
        {"first": 4, "scale": 0.1},
    ),
    "BinaryMachine.free_energy": method("free_energy", lambda: binary(4, 2, 2), x=images()),
    "BinaryMachine.log_prob": method("log_prob", lambda: binary(4, 2), x=images()),
    "BinaryMachine.gibbs": method("gibbs", lambda: binary(4, 2), even=images(), sweeps=1, generator=dice()),
    "BinaryMachine.at": (lambda temperature: binary(4, 2).at(temperature).log_z(), {"temperature": 2.0}),
    "GaussianMachine": (
        lambda **a: field_machines.GaussianMachine(generator=dice(), **a).log_z(),
        {"visible": 2, "hidden": 2, "sigma": 1.0, "scale": 0.1},
    ),
    "GaussianMachine.log_prob": method(
        "log_prob", lambda: field_machines.GaussianMachine(2, 2, generator=dice()), x=some(5, 2)
    ),
    "field_machines.bits": (partial(field_machines.bits, like_this=some(1)), {"units": 3}),
    "exact_likelihood": (
        lambda **a: field_machines.exact_likelihood(binary(4, 2), **a)(some(2, 14)),
        {"x": images(), "weights": torch.full((6,), 1 / 6, **F)},
    ),
    "bars_and_stripes": (boltzmann_machines.bars_and_stripes, {"length": 2}),
    "ladder_sweep": (
        partial(boltzmann_machines.ladder_sweep, generator=dice()),
        {
            "a": some(2, 4),
            "b": some(2, 2),
            "weight": some(2, 4, 2),
            "x": torch.stack([images()] * 2),
            "parity": 0,
        },
    ),
    "retrieval": (boltzmann_machines.retrieval, {"load": 0.1}),
    # particles
    "Grid": (grid.Grid, {"points": 8, "x_max": 5.0}),
    "Particles": (sectors.Particles, {"count": 2, "statistics": "boson"}),
    "Hamiltonian.on": method("on", harmonic, points=8),
    "Hamiltonian.exact": method("exact", harmonic, states=2),
    "Hamiltonian.energies": method("energies", harmonic, psi=psi()),
    "Hamiltonian.energy": method("energy", harmonic, psi=psi()),
    "Hamiltonian.apply": method("apply", harmonic, psi=psi()[:, None]),
    "Hamiltonian.problem": method("problem", harmonic, below=harmonic().exact(1).psi),
    "trapped": (
        partial(hamiltonian.trapped, grid=grid.Grid(5, 4.0)),
        {"statistics": "boson", "omega": 1.0, "count": 2},
    ),
    "Sector.full": method(
        "full", lambda: sectors.Sector(grid.Grid(4, 2.0), sectors.Particles(2)), psi=numbers(6)
    ),
    "Sector.density": method(
        "density", lambda: sectors.Sector(grid.Grid(4, 2.0), sectors.Particles(2)), psi=numbers(6)
    ),
    "solve": (
        partial(solve.solve, harmonic()),
        {"hidden": (2,), "seed": 1, "starts": 1, "steps": 3, "tolerance": 1e-3, "patience": 2},
    ),
    "WaveFunction": (waves.WaveFunction, {"hidden": (2,), "inputs": 1, "activation": "softplus"}),
    "WaveFunction.forward": method("forward", lambda: waves.WaveFunction((2,), inputs=1), x=some(5, 1)),
    # spins
    "all_spins": (lattices.all_spins, {"sites": N}),
    "chain": (lattices.chain, {"sites": N, "boundary": "periodic"}),
    "rectangle": (lattices.rectangle, {"rows": 3, "columns": 3, "boundary": "periodic"}),
    "square": (lattices.square, {"length": 3}),
    "ising": (partial(hamiltonians.ising, lattices.chain(N)), {"field": 1.0}),
    "SpinHamiltonian.diagonal": method("diagonal", model, spins=spins()),
    "SpinHamiltonian.elements": method("elements", model, spins=spins()),
    "SpinHamiltonian.start": method("start", model, chains=3, generator=dice()),
    "SpinHamiltonian.apply": method("apply", model, psi=some(16, 1)),
    "SpinHamiltonian.walkers": method("walkers", model, state=machine(), spins=spins()),
    **{
        f"{kind.__name__}.forward": method(
            "forward", partial(kind, N, *more, generator=dice()), spins=spins()
        )
        for kind, more in [
            (states.MeanField, ()),
            (states.Jastrow, ()),
            (states.RestrictedBoltzmannMachine, (4,)),
            (tensors.MatrixProductState, (2,)),
        ]
    },
    "ProjectedPairState.forward": method(
        "forward", lambda: tensors.ProjectedPairState(2, 2, 2), spins=spins()
    ),
    "MeanField": (states.MeanField, {"sites": N}),
    "Jastrow": (states.Jastrow, {"sites": N}),
    "RestrictedBoltzmannMachine": (
        states.RestrictedBoltzmannMachine,
        {"sites": N, "filters": 2, "scale": 0.1, "permutations": torch.arange(4)[None]},
    ),
    "RestrictedBoltzmannMachine.of": (
        states.RestrictedBoltzmannMachine.of,
        {"weight": some(2, 4), "visible_bias": some(4), "hidden_bias": some(2)},
    ),
    "RestrictedBoltzmannMachine.derivatives": method("derivatives", machine, spins=spins()),
    "MatrixProductState": (
        tensors.MatrixProductState,
        {"sites": N, "bond": 2, "boundary": "open", "noise": 0.1},
    ),
    "ProjectedPairState": (tensors.ProjectedPairState, {"rows": 2, "columns": 2, "bond": 2, "noise": 0.1}),
    "contract": (partial(tensors.contract, mps()), {"spins": lattices.all_spins(3)}),
    "enlarge": (
        lambda rows: states.enlarge(
            states.RestrictedBoltzmannMachine(4, 1, permutations=lattices.chain(4).translations),
            lattices.chain(4),
            lattices.chain(rows),
        ),
        {"rows": 6},
    ),
    "walkers_of": (partial(walkers.walkers_of, machine()), {"spins": spins(), "moves": model().moves}),
    "compress": (partial(entanglement.compress, mps()), {"bond": 2, "threshold": 1e-14}),
    "inner": (lambda first: entanglement.inner([first, *mps()[1:]], mps()), {"first": some(2, 1, 2)}),
    "decompose": (entanglement.decompose, {"psi": some(8).abs(), "sites": 3}),
    "schmidt_values": (entanglement.schmidt_values, {"psi": some(8), "sites": 3, "cut": 1}),
    "schmidt_rank": (
        entanglement.schmidt_rank,
        {"psi": some(8).abs(), "sites": 3, "cut": 1, "threshold": 1e-12},
    ),
    "entanglement_entropy": (entanglement.entanglement_entropy, {"schmidt": torch.tensor([0.8, 0.6], **F)}),
    "ImaginaryTime": (
        lambda **a: imaginary_time.ImaginaryTime(model(), **a).amplitudes(),
        {"step": 0.1, "steps": 2, "order": 2},
    ),
    "ImaginaryTime.machine": (
        lambda **a: imaginary_time.ImaginaryTime(model(), **a).machine(),
        {"step": 0.1, "steps": 2, "order": 2},
    ),
    "sample_bulk": (
        partial(imaginary_time.sample_bulk, imaginary_time.ImaginaryTime(model(), 0.1, 2)),
        {"samples": 3, "chains": 2, "generator": dice(), "warm_up": 1, "window": 0},
    ),
    "trotter": (partial(networks_as_tensors.trotter, model()), {"step": 0.1, "steps": 2, "order": 2}),
    "BoltzmannMachine": (
        lambda **a: machines.BoltzmannMachine(**a).amplitudes(lattices.all_spins(2)),
        {
            "visible": 2,
            "bias": some(3),
            "edges": torch.tensor([[0, 2], [1, 2]]),
            "weights": some(2),
            "constant": 0.1,
        },
    ),
    "pair_unit": (machines.pair_unit, {"coupling": 0.3}),
    "triple_unit": (machines.triple_unit, {"coupling": 0.3}),
    "deep_machine": (
        lambda first: machines.deep_machine([first, *[t.abs() for t in mps()[1:]]]),
        {"first": some(2, 1, 2).abs()},
    ),
    "Wires.crossing": (lambda cut: machines_as_tensors.direct_wires(machine()).crossing(cut), {"cut": 1}),
    # samples
    "cluster_sweep": (
        clusters.cluster_sweep,
        {
            "spins": spins(),
            "edges": torch.tensor([[0, 1], [1, 2]]),
            "couplings": torch.ones(2, **F),
            "generator": dice(),
        },
    ),
    "estimate": (lambda values: estimates.estimate(values).mean, {"values": some(40, 4)}),
    "autocorrelation": (estimates.autocorrelation, {"values": some(40, 4), "lags": 3}),
    "metropolis": (drawn, {"samples": 3, "sweep": 2, "warm_up": 1}),
    "Importance": (lambda log_weights: importance.Importance(log_weights).log_z, {"log_weights": some(400)}),
    "Importance.mean": method("mean", lambda: importance.Importance(some(400)), values=some(400)),
    "Importance.divergence": (
        lambda log_weights: importance.Importance(log_weights).divergence,
        {"log_weights": some(400)},
    ),
    "independence_metropolis": (
        lambda **a: importance.independence_metropolis(generator=dice(), **a).acceptance,
        {"log_weights": some(40), "chains": 2},
    ),
    # geometry
    "Scherk": (discrete_geometry.Scherk, {"half_width": 1.0}),
    "Scherk.height": method("height", discrete_geometry.Scherk, points=numbers(3, 2) / 9),
    "Scherk.gaussian_curvature": method(
        "gaussian_curvature", discrete_geometry.Scherk, points=numbers(3, 2) / 9
    ),
    "fit_surface": (
        partial(discrete_geometry.fit_surface, lambda p: p[:, 0], hidden=(2,)),
        {"half_width": 1.0, "seed": 1, "starts": 1, "points": 3, "steps": 2, "tolerance": 1e-3},
    ),
    "minimal_surface": (
        partial(discrete_geometry.minimal_surface, lambda p: p[:, 0], hidden=(2,)),
        {
            "half_width": 1.0,
            "seed": 1,
            "starts": 1,
            "points": 3,
            "steps": 2,
            "tolerance": 1e-3,
            "penalty": 10.0,
            "rounds": 1,
        },
    ),
    "gauss_points": (discrete_geometry.gauss_points, {"half_width": 1.0, "count": 3}),
    "random_surface": (
        partial(discrete_geometry.random_surface, activation="relu", generator=dice()),
        {"half_width": 1.0, "hidden": (3,)},
    ),
    "Complex": (lambda vertices: complexes.Complex(vertices, ((0, 1, 2),)).area, {"vertices": numbers(3, 2)}),
    "Complex.shifted": method("shifted", box, by=numbers(2)),
    "subdivide": (lambda **a: complexes.subdivide(box(), [lambda p: p[:, :1]], **a), {"tolerance": 1e-9}),
    "linear_pieces.square": (linear_pieces.square, {"half_width": 1.0}),
    "raster": (partial(linear_pieces.raster, box()), {"half_width": 1.0, "bins": 2}),
    "unrolled": (partial(linear_pieces.unrolled, mlp(2, 3, 1)), {"sharpness": 2.0, "activation": "softplus"}),
    "kinks": (partial(linear_pieces.kinks, mlp(1, 3, 1, activation="relu")), {"low": -1.0, "high": 1.0}),
    "kink_density": method(
        "kink_density",
        lambda: linear_pieces.linear_regions(mlp(2, 3, 1, activation="relu"), box()),
        half_width=1.0,
        bins=2,
    ),
    "region_bound": (linear_pieces.region_bound, {"inputs": 2, "widths": (3,)}),
    "heights": (partial(linear_pieces.heights, mlp(2, 3, 1)), {"points": numbers(3, 2)}),
    "slopes": (partial(linear_pieces.slopes, mlp(2, 3, 1)), {"points": numbers(3, 2)}),
    "PolytopeNet": (
        partial(network.PolytopeNet, generator=dice()),
        {"dim": 3, "widths": (4,), "powers": (1.0,)},
    ),
    "PolytopeNet.forward": method("forward", net, x=some(5, 3)),
    "PolytopeNet.slice": method("slice", net, basis=np.eye(3)[:, :2]),
    "random_points": (network.random_points, {"count": 4, "dim": 3}),
    "even_points": (network.even_points, {"count": 4, "dim": 3}),
    "point_group": (
        point_groups.point_group,
        {"points": np.concatenate([np.eye(3), -np.eye(3)]), "tolerance": 1e-5},
    ),
    "polytope": (partial(level_sets.polytope, net()), {"tolerance": 1e-6}),
    "Polytope.solid": (lambda size: level_sets.polytope(net()).solid(size=size), {"size": 60.0}),
    "mesh": (partial(level_sets.mesh, net()), {"refine": 1}),
    "cones": (partial(level_sets.cones, net()), {"layers": None, "tolerance": 1e-9}),
    "sectors": (
        partial(level_sets.sectors, network.PolytopeNet(2, (3,), (1.0,), generator=dice())),
        {"tolerance": 1e-9},
    ),
    "polygon_loss": (sphere.polygon_loss, {"units": 3}),
    "facet_bound": (sphere.facet_bound, {"facets": 6}),
    "kernel_loss": (sphere.kernel_loss, {"weights": numbers(4, 3), "power": 1.0}),
    "sphere_loss": (
        partial(sphere.sphere_loss, network.PolytopeNet(3, (4, 2), (1.0, 1.0), generator=dice())),
        {"order": 3},
    ),
    "sample_loss": (
        lambda points: sphere.sample_loss(net(), points)(networks.flatten(net())[None]),
        {"points": network.random_points(9, 3)},
    ),
    "fit_sphere": (
        partial(polytopes.fit_sphere, net()),
        {"points": 20, "seed": 1, "starts": 1, "steps": 2, "tolerance": 1e-3},
    ),
    "turnable": (
        lambda **a: solids.turnable([solids.Solid(complexes.Complex(np.eye(3), ((0, 1, 2),)))], **a),
        {"reach": 1.0, "height": 300},
    ),
    # differential equations
    "oscillator": (
        lambda **a: equations.oscillator(
            some(5, 1), derivatives.jet(mlp(1, 3, 1, activation="tanh"), some(5, 1)), **a
        ),
        {"damping": 0.1, "frequency": 1.0},
    ),
    "burgers": (
        lambda **a: equations.burgers(
            some(5, 2), derivatives.jet(mlp(2, 3, 1, activation="tanh"), some(5, 2)), **a
        ),
        {"viscosity": 0.1},
    ),
    "integrate": (
        partial(integrators.integrate, integrators.rk4, lambda t, x: x.tanh()),
        {"x": some(3, 2), "times": torch.linspace(0, 1, 5, **F)},
    ),
    "Bulk": (
        lambda **a: emergent_geometry.Bulk(**a).boundary_action(torch.ones(2, **F)),
        {"near": 0.1, "far": 10.0, "layers": 5, "dimension": 3, "mass2": 0.1},
    ),
    "Bulk.boundary_action": method(
        "boundary_action", lambda: emergent_geometry.Bulk(0.1, 9.0, 3), k=some(4), weights=some(3) ** 2
    ),
    "majorana_modes": (emergent_geometry.majorana_modes, {"sites": 8, "mass": 0.1}),
    "majorana_entropies": (
        emergent_geometry.majorana_entropies,
        {"covariance": emergent_geometry.majorana_modes(8), "regions": np.eye(8)[:3]},
    ),
    "tree_entropies": (
        emergent_geometry.tree_entropies,
        {"regions": torch.eye(4, **F)[:3], "couplings": some(2).abs()},
    ),
    "Rings": (emergent_geometry.Rings, {"layers": 2}),
    "Rings.entropies": method(
        "entropies", lambda: emergent_geometry.Rings(2), regions=torch.eye(4)[:3], couplings=some(4).abs()
    ),
    "features": (
        path_integrals.features,
        {"activation": "relu", "knots": torch.linspace(0, 1, 5, **F), "t": some(3)},
    ),
    "closed_basis": (path_integrals.closed_basis, {"activation": "relu", "beads": 4, "spacing": 0.1}),
    "mehler": (path_integrals.mehler, {"time": 1.0, "start": 0.5, "end": 0.2, "omega": 1.0}),
    "mehler, real time": (
        partial(path_integrals.mehler, real_time=True),
        {"time": 1.0, "start": 0.5, "end": 0.2, "omega": 1.0},
    ),
    "network_kernel": (
        path_integrals.network_kernel,
        {"activation": "relu", "knots": torch.linspace(0, 1, 5, **F), "start": 0.5, "end": 0.2, "omega": 1.0},
    ),
    "Quartic": (path_integrals.Quartic, {"square": 0.5, "fourth": 1.0, "constant": 0.5}),
    "Quartic.levels": method(
        "levels", lambda: path_integrals.Quartic(0.5, 1.0), states=2, reach=6.0, points=60
    ),
    "Quartic.hartree": method("hartree", lambda: path_integrals.Quartic(0.5, 1.0), components=1),
    "PathSum": (
        lambda **a: path_integrals.PathSum(path_integrals.Quartic(0.5, 1.0), **a).preconditioned(),
        {"spacing": 0.2, "beads": 4, "components": 1, "basis": some(4, 4)},
    ),
    "PathSum of parameters": (lambda theta: sum_over_paths()(theta), {"theta": some(3, 1, 4)}),
    "PathSum.identities": method("identities", sum_over_paths, parameters=some(3, 1, 4)),
    "PathSum.oscillator": method("oscillator", sum_over_paths, omega=1.0),
    "PathSum.start": (lambda n: sum_over_paths().start(n, generator=dice()), {"n": 3}),
    "sharpen": (path_integrals.sharpen, {"values": some(4, 20, 2), "zeros": some(4, 20, 3)}),
    "taylor": (network_spacetime.taylor, {"kernel": some(3), "spacing": 0.1}),
    "hamiltonian_layer": (
        lambda **a: network_spacetime.hamiltonian_layer(weights=(0.1, 1.0, -1.0, -0.1), **a),
        {"x": some(3, 2), "step": 0.1},
    ),
    "Motion": (
        lambda **a: network_spacetime.Motion(lambda x: -x, torch.zeros_like, **a).times,
        {"end": 1.0, "steps": 4},
    ),
    "Motion.shoot": method(
        "shoot", calm_motion, starts=some(5, 2), friction=0 * some(9), shapes=torch.ones(9, 2, **F)
    ),
    "Motion.onto_curve": method(
        "onto_curve", calm_motion, starts=some(5, 2), friction=0 * some(9), rounds=1, stride=0.1
    ),
    "splines": (network_spacetime.splines, {"count": 5, "times": torch.linspace(0, 1, 7, **F)}),
    "smoothed": (
        lambda **a: network_spacetime.smoothed(
            calm_motion(), network_spacetime.Misses(some(9), some(9, 4)), strengths=[0.1], **a
        ),
        {"at": some(4)},
    ),
    "find_friction": (
        lambda **a: network_spacetime.find_friction(calm_motion(), shares=(1.0,), **a),
        {"starts": some(25, 2), "guess": -0.1, "count": 4, "steps": 1, "tolerance": 1e-3},
    ),
    "Term": (
        partial(physics_informed.Term, "data", lambda x, u: u.value),
        {"points": some(5, 2), "target": some(5, 1), "weight": 1.0},
    ),
    "Region": (physics_informed.Region, {"low": torch.zeros(2, **F), "high": torch.ones(2, **F)}),
    "Region.draw": method("draw", region, count=3, generator=dice()),
    "Region.draw_where_wrong": method(
        "draw_where_wrong",
        region,
        net=mlp(2, 3, 1, activation="tanh"),
        condition=lambda x, u: u.value,
        count=3,
        generator=dice(),
        share=0.5,
        candidates=9,
    ),
    "Residuals.forward": method("forward", residuals, points=some(5, 2)),
    "gauss_newton": (
        lambda **a: physics_informed.gauss_newton(residuals(), **a),
        {"steps": 2, "tolerance": 0.0},
    ),
    "train": (
        lambda rounds: physics_informed.train(mlp(2, 3, 1, activation="tanh"), terms(), rounds=rounds),
        {"rounds": 1},
    ),
    # curved spaces
    "BulkMetric.schwarzschild": (
        lambda **a: bulk.BulkMetric.schwarzschild(**a).layers(3),
        {"d": 3, "boundary": 1.0, "horizon": 0.1},
    ),
    "BulkMetric.learned": (
        lambda **a: bulk.BulkMetric.learned(**a).layers(3),
        {"values": some(3), "knots": torch.tensor([0.2, 0.5, 1.0], **F)},
    ),
    "spline_basis": (
        splines.spline_basis,
        {"x": some(3), "knots": torch.tensor([0.2, 0.5, 1.0], **F), "derivative": 0},
    ),
    "BulkFlow": (
        lambda **a: bulk.BulkFlow(bulk.BulkMetric.schwarzschild(), **a).inwards(some(2), some(2)),
        {"mass2": -1.0, "coupling": 1.0, "steps": 3, "method": "euler"},
    ),
    "BulkFlow.inwards": method("inwards", brane, phi=some(3), pi=some(3)),
    "BulkFlow.outwards": method("outwards", brane, phi=some(3), pi=some(3)),
    "BulkFlow.horizon_condition": method("horizon_condition", brane, phi=some(3), pi=some(3)),
    "BulkFlow.varied": method("varied", brane, y=some(2, 4, 3), basis=some(11, 1)),
    "Curve": (ads_dl.Curve, {"phi": some(3), "pi": some(3), "band": 0.1}),
    "observe": (partial(ads_dl.observe, brane(), generator=dice()), {"n": 3, "band": 0.1}),
    "response": (
        partial(ads_dl.response, brane()),
        {"phi": some(3), "pi": some(3), "value": 0.0, "steps": 2},
    ),
    "learn_metric": (
        lambda **a: ads_dl.learn_metric(ads_dl.Curve(**a), brane(), strengths=[1.0]),
        {"phi": torch.linspace(0.1, 1, 9, **F), "pi": torch.linspace(0, 0.1, 9, **F)},
    ),
    "linear_response": (
        partial(ads_dl.linear_response, knots=torch.tensor([0.2, 0.5, 1.0], **F)),
        {"s": some(3), "frequencies": torch.ones(2, **F), "mass2": -1.0, "steps": 9},
    ),
    "Geometry": (lambda params: probes.Geometry(params).params, {"params": some(5)}),
    "reconstruct": (
        lambda **a: probes.reconstruct(None, **a),
        {
            "strings": torch.tensor([[0.2, -7.2, 1e-3], [0.4, -3.6, 1e-3]], **F),
            "terms": 2,
            "strengths": [1.0],
        },
    ),
    "Condensate": (holographic_qcd.Condensate, {"mass": numbers_above(3), "condensate": numbers_above(3)}),
    "Condensate.without": method("without", condensates, row=1),
    "dictionary": (
        holographic_qcd.dictionary,
        {"mass": numbers_above(3), "condensate": numbers_above(3), "radius": 4.0, "coupling": 0.01},
    ),
    "examples": (
        lambda n: holographic_qcd.examples(holographic_qcd.lattice_data(), n, generator=dice()),
        {"n": 3},
    ),
    "classify": (
        lambda **a: holographic_qcd.classify(generator=dice(), **a)[0],
        {
            "points": 0.02 * numbers_above(5, 2),
            "labels": torch.arange(5) < 2,
            "radius": 3.5,
            "coupling": 0.02,
            "penalty": 0.01,
            "steps": 2,
            "batch": 3,
            "rate": 0.02,
        },
    ),
    "layered": (lambda **a: holographic_qcd.layered(**a).layers(3), {"h": some(5), "horizon": 0.1}),
    "learn_condensate": (
        lambda **a: holographic_qcd.learn_condensate(condensates(), strengths=[1.0], **a),
        {"radius": 4.0, "knots": 3, "errors": (0.03, 0.03)},
    ),
    "split": (
        lambda **a: strings.split(bulk.BulkMetric.schwarzschild(4), **a).temperature,
        {"match": 1.0, "points": 101, "outer": 7.0},
    ),
    "Split.potential": method(
        "potential",
        lambda: strings.split(bulk.BulkMetric.schwarzschild(4), points=101),
        turns=np.array([0.5, 0.8]),
        nodes=9,
    ),
    "meson_potential": (
        mesons.meson_potential,
        {"wall": numbers_above(3), "knots": torch.tensor([0.5, 1.0, 2.0], **F), "z": numbers_above(4)},
    ),
    "masses": (
        mesons.masses,
        {"wall": numbers_above(3), "knots": torch.tensor([1.0, 4.0, 9.0], **F), "states": 2, "points": 30},
    ),
    "learn_wall": (
        mesons.learn_wall,
        {
            "measured": torch.tensor([0.8, 1.5], **F),
            "strength": 1e-2,
            "reach": 12.0,
            "knots": 4,
            "error": 1e-2,
        },
    ),
    "dilaton": (
        mesons.dilaton,
        {
            "wall": torch.tensor([0.3, 0.6, 0.9], **F),
            "knots": torch.tensor([1.0, 2.0, 3.0], **F),
            "z": np.array([0.5, 1.0, 2.0]),
        },
    ),
    # electrons
    "trapped_pair": (pairs.trapped_pair, {"omega": 1.0, "dim": 2, "degree": 30}),
    "TrappedPair.relative": method("relative", lambda: pairs.trapped_pair(1.0), r=np.abs(numbers(5))),
    "exact.repulsion": (shells.repulsion, {"shells": 2}),
    "configuration_interaction": (
        shells.configuration_interaction,
        {"electrons": 2, "coupling": 1.0, "shells": 2},
    ),
    "Trap": (systems.Trap, {"electrons": 6, "omega": 1.0, "dim": 2, "stride": 1.0}),
    "Trap.start": method("start", trap, chains=3, generator=dice()),
    "Trap.smooth_repulsion": method("smooth_repulsion", trap, state=dot(), x=place()),
    "Trap.split": method("split", trap, state=dot(), x=place()),
    "Trap.walkers": method("walkers", trap, state=dot(), configurations=place()),
    "GaussianWalkers": (
        lambda **a: in_space.GaussianWalkers(dot(), **a).configurations,
        {"configurations": place(), "step": 0.3},
    ),
    "LangevinWalkers": (
        lambda **a: in_space.LangevinWalkers(lambda x: dot().jet(x)[:2], **a).configurations,
        {"configurations": place(), "step": 0.3},
    ),
    **{f"Product.{name}": method(name, dot, x=place()) for name in ("forward", "sign", "jet", "derivatives")},
    "Gaussian": (electrons.Gaussian, {"alpha": 1.0}),
    "Pade": (radial.Pade, {"cusp": 1.0, "start": 0.5}),
    "Radial": (radial.Radial, {"hidden": 2, "shape": "pair", "scale": 0.1}),
    "Backflow": (lambda hidden: determinants.Backflow(trap(), hidden, generator=dice()), {"hidden": 2}),
    "electrons.BoltzmannMachine": (
        lambda **a: electrons.BoltzmannMachine(trap(), generator=dice(), **a),
        {"hidden": 2, "scale": 0.1},
    ),
    "finite_differences": (partial(local_energy.finite_differences, dot(), place()), {"h": 1e-3}),
    # learning from data
    "learning_basics.field_response": (
        learning_basics.field_response,
        {"h": some(3, 4), "beta": 0.4, "length": 2},
    ),
    "quantum_dots.boltzmann": (
        lambda hidden: quantum_dots.boltzmann(trap(), hidden, generator=dice()),
        {"hidden": 2},
    ),
    "quantum_dots.network": (
        lambda **a: quantum_dots.network(trap(), generator=dice(), **a),
        {"hidden": 2, "backflow": 2},
    ),
    "quantum_dots.train": (
        lambda **a: quantum_dots.train(dot(), trap(), generator=dice(), **a),
        {
            "steps": 2,
            "chains": 5,
            "rate": 0.1,
            "trust": 0.1,
            "shift": 1e-3,
            "momentum": 0.9,
            "configurations": place(),
        },
    ),
    "radial_density": (
        quantum_dots.radial_density,
        {"samples": place(), "bins": 5, "reach": 3.0},
    ),
    # matter in a box
    "ewald.momenta": (ewald.momenta, {"reach": 2.0}),
    "ewald.closed_shell": (ewald.closed_shell, {"count": 7}),
    "ewald.Ewald": (lambda **a: ewald.Ewald(**a).madelung(), {"length": 2.0, "alpha": 3.0}),
    "ewald.electron_gas": (ewald.electron_gas, {"particles": 14, "rs": 1.0}),
    "ewald.fermi_gas": (ewald.fermi_gas, {"particles": 14, "length": 2.0, "stiffness": 1.0}),
    "ewald.pair_in_box": (
        partial(ewald.pair_in_box, ewald.gaussian_transform(((1.0, 2.0),))),
        {"length": 3.0, "stiffness": 1.0, "reach": 2.0},
    ),
    **{
        f"matter_in_a_box.{kind.__name__}": (lambda kind=kind, **a: kind(**a).length, {"particles": n} | rest)
        for kind, n, rest in (
            (matter_in_a_box.ElectronGas, 14, {"rs": 1.0}),
            (matter_in_a_box.Neutrons, 14, {"density": 0.01}),
            (matter_in_a_box.ColdAtoms, 4, {"range": 0.1}),
        )
    },
    "matter_in_a_box.network": (
        lambda **a: matter_in_a_box.network(neutrons(), generator=dice(), **a),
        {"hidden": 2, "backflow": 2, "layers": 1},
    ),
    "matter_in_a_box.diffuse": (
        lambda **a: matter_in_a_box.diffuse(matter(), neutrons(), generator=dice(), **a),
        {"configurations": cube(), "step": 0.01, "steps": 2},
    ),
    "matter_in_a_box.singlets": (
        lambda **a: matter_in_a_box.singlets(matter(), **a),
        {"x": cube()},
    ),
    "PairDeterminant": (
        lambda **a: matter_in_a_box.PairDeterminant(neutrons(), generator=dice(), **a),
        {"shells": 3, "hidden": 2},
    ),
    "PeriodicBackflow": (
        lambda **a: matter_in_a_box.PeriodicBackflow(neutrons(), generator=dice(), **a),
        {"hidden": 2, "kinds": 2},
    ),
    "Contact": (matter_in_a_box.Contact, {"mu": 1.0}),
    # nuclei
    "Pionless": (few_nucleons.Pionless, {"cutoff": 2.0, "central": -100.0, "spin": -9.0, "three_body": 5.0}),
    "pionless": (few_nucleons.pionless, {"cutoff": 2.0}),
    "scattering_length": (few_nucleons.scattering_length, {"strength": -100.0, "cutoff": 2.0}),
    "bound_pair": (few_nucleons.bound_pair, {"strength": -140.0, "cutoff": 2.0}),
    "pair_classes": (few_nucleons.pair_classes, {"nucleons": 3}),
    "correlated_gaussians": (
        partial(few_nucleons.correlated_gaussians, force=few_nucleons.pionless(2)),
        {"nucleons": 3, "functions": 4},
    ),
    "Correlator": (
        partial(nucleons.Correlator, generator=dice()),
        {"nucleons": 3, "cutoff": 2.0, "features": 2, "hidden": 2},
    ),
    "Spins": (nucleons.Spins, {"nucleons": 3, "widths": [1.0], "coefficients": [0.5]}),
    "Nucleus": (partial(nucleons.Nucleus, force=few_nucleons.pionless(2)), {"nucleons": 3, "stride": 2.0}),
    "Nucleus.start": method("start", helium, chains=3, generator=dice()),
    "Nucleus.potential": method("potential", helium, state=bound(), x=some(3, 4, 3)),
    "Nucleus.split": method("split", helium, state=bound(), x=some(3, 4, 3)),
    "Nucleus.walkers": method("walkers", helium, state=bound(), configurations=some(3, 4, 3)),
    "momentum_mesh": (nuclei_and_matter.momentum_mesh, {"points": 5, "scale": 1.0}),
    "momentum_matrix": (
        partial(nuclei_and_matter.momentum_matrix, nuclei_and_matter.Yamaguchi()),
        {"k": np.abs(numbers(5)), "weights": np.abs(numbers(5))},
    ),
    "Yamaguchi": (nuclei_and_matter.Yamaguchi, {"alpha": 0.2, "beta": 5.0, "gamma": 6.0, "tensor": 1.0}),
    "Yamaguchi.form": method("form", nuclei_and_matter.Yamaguchi, k=np.abs(numbers(5))),
    "quadrature": (nuclei_and_matter.quadrature, {"nucleons": 3, "points": 5, "reach": 9.0}),
    "minimise_energy": (
        lambda **a: nuclei_and_matter.minimise_energy(
            triton(),
            nucleons.Nucleus(3, few_nucleons.pionless(2)),
            nuclei_and_matter.quadrature(3, 4),
            **a,
        ),
        {"steps": 2},
    ),
    # symmetries
    "Attention": (
        lambda **a: symmetries.Attention(generator=dice(), **a),
        {"width": 3, "head": 2, "scores": "relu"},
    ),
    "Attention.forward": method("forward", head, x=some(2, 5, 3)),
    "LinearODE": (symmetries.LinearODE, {"dim": 2, "nodes": 8}),
    "LinearODE.forward": method("forward", linear_ode, x=some(3, 2)),
    "LinearODE.path": method("path", linear_ode, x=some(3, 2)),
    "LinearODE.between": method("between", linear_ode, at=torch.tensor([0.2, 0.5], **F)),
    **{
        f"symmetries.{kind.__name__}": (
            lambda kind=kind, module=module, parameters=None, **a: kind(**a).apply(
                module,
                some(sum(p.numel() for p in module.parameters())) if parameters is None else parameters,
            ),
            arguments,
        )
        for kind, module, arguments in (
            (symmetries.UnitMixing, mlp(2, 3, 1), {"matrix": some(3, 3), "layer": 0}),
            (symmetries.Permutation, mlp(2, 3, 1), {"order": (2, 0, 1), "layer": 0, "parameters": some(13)}),
            (symmetries.Rescaling, mlp(2, 3, 1), {"factors": some(3).exp(), "layer": 0}),
            (symmetries.HeadMixing, head(), {"matrix": some(2, 2)}),
            (symmetries.ValueMixing, head(), {"matrix": some(2, 2)}),
            (symmetries.Scaling, head(), {"query": 2.0, "key": 2.0, "value": 0.25}),
            (symmetries.Frame, linear_ode(), {"g": some(8, 2, 2)}),
            (symmetries.TimeChange, linear_ode(), {"f": linear_ode().bubbles[:, 0] / 5}),
        )
    },
    "Rescaling.defect": method(
        "defect", lambda: symmetries.Rescaling(some(3).exp()), module=mlp(2, 3, 1), inputs=some(5, 2)
    ),
    "rank": (symmetries.rank, {"rows": some(4, 3), "tolerance": 1e-8}),
    "reached": (
        lambda **a: symmetries.reached(mlp(2, 2, 1), generator=dice(), **a),
        {"inputs": some(9, 2), "depth": 1},
    ),
    "geodesic": (symmetries.geodesic, {"x": some(3, 2) / 5, "v": some(3, 2), "t": 1.0, "sign": 1}),
    # emergent quantum mechanics
    "propagator": (emergent_qm.propagator, {"potential": some(3), "spacing": 0.1}),
    "waves": (emergent_qm.waves, {"potential": some(3, 4), "spacing": 0.1}),
    "potentials": (
        partial(emergent_qm.potentials, generator=dice()),
        {"kind": "deep", "count": 2, "sites": 3, "spacing": 0.1},
    ),
    "condensates": (
        partial(emergent_qm.condensates, steps=100),
        {"trap": numbers(1, 4), "spacing": 0.1, "interaction": 1.0, "number": 1.0, "tolerance": 1e-3},
    ),
    "Translator": (
        lambda **a: emergent_qm.Translator(generator=dice(), **a)(some(2, 3)),
        {"hidden": 2, "degree": 2},
    ),
    **{
        f"Translator.{name}": method(
            name, lambda: emergent_qm.Translator(2, generator=dice()), potential=some(2, 3)
        )
        for name in ("states", "forward")
    },
    "fit_translator": (
        lambda **a: emergent_qm.fit_translator(emergent_qm.Translator(1, generator=dice()), **a),
        {
            "potential": some(2, 4),
            "density": abs(some(2, 4)),
            "windows": (2, 4),
            "steps": 1,
            "tolerance": 1e-3,
        },
    ),
    "Distiller": (
        lambda **a: emergent_qm.Distiller(generator=dice(), **a)(some(2, 5)),
        {"activations": 3, "latent": 2, "hidden": (4,), "degree": 2},
    ),
    "emergent_qm.windows": (
        partial(emergent_qm.windows, generator=dice()),
        {"states": some(2, 5, 3), "potential": some(2, 5), "length": 2, "count": 3},
    ),
    "intrinsic_dimension": (emergent_qm.intrinsic_dimension, {"points": some(9, 3)}),
    "sparse_regression": (
        emergent_qm.sparse_regression,
        {"library": some(9, 3), "target": some(9, 2), "threshold": 0.1, "ridge": 0.1},
    ),
    # training
    "invert": (
        lambda **a: inverse.invert(lambda t: (t - 1, torch.eye(2, **F)), **a),
        {
            "start": torch.zeros(2, **F),
            "penalty": torch.eye(2, **F),
            "strengths": (1.0,),
            "steps": 2,
            "tolerance": 1e-9,
        },
    ),
    "fit": (trained, {"steps": 2, "tolerance": 1e-3, "patience": 1, "every": 1, "divergence": 1e3}),
    "RayleighQuotient": (
        lambda **a: linear_method.minimise(
            problems.RayleighQuotient(**a),
            torch.nn.Sequential(mlp(1, 2, 1), torch.nn.Flatten(0)),
            steps=1,
        ),
        quotient(),
    ),
    "ConvexLoss": (
        lambda **a: linear_method.minimise(gauss_newton.ConvexLoss(**a), mlp(2, 2, 1), steps=1),
        convex(),
    ),
    "minimise": (
        lambda **a: linear_method.minimise(gauss_newton.ConvexLoss(**convex()), mlp(2, 2, 1), **a),
        {"starts": some(2, 9), "explore": 1, "steps": 2, "tolerance": 1e-3, "patience": 1, "every": 1},
    ),
    "descend": (partial(quasi_newton.descend, bowl), {"starts": some(2, 3), "steps": 2, "tolerance": 1e-3}),
    "natural_step": (
        reconfiguration.natural_step,
        {
            "derivatives": some(9, 4),
            "energies": some(9),
            "shift": 1e-3,
            "relative": 1e-3,
            "form": "auto",
            "momentum": some(4),
        },
    ),
    "optimise": (
        lambda **a: sampled.optimise(machine(), model(), generator=dice(), **a),
        {
            "chains": 20,
            "steps": 2,
            "rate": 0.1,
            "trust": 0.1,
            "shift": 1e-3,
            "relative": 1e-3,
            "sweeps": 1,
            "momentum": 0.5,
            "clip": 5.0,
            "average": 1,
            "configurations": lattices.all_spins(4),
            "every": 1,
        },
    ),
    "measure": (
        lambda **a: sampled.measure(machine(), model(), generator=dice(), **a),
        {"chains": 20, "samples": 9, "warm_up": 1, "configurations": lattices.all_spins(4)},
    ),
}


def spoilt(value):
    """What is wrong in place of a value, by name."""
    if isinstance(value, str):
        yield "nonsense", "nonsense"
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, int | float):
        yield from {str(x): x for x in (math.nan, math.inf, -math.inf, -1, 0, 0.5, -1e-3, 1e-300)}.items()
        if isinstance(value, float):
            yield "1e+300", 1e300
    elif isinstance(value, tuple):
        yield from {str(x): x for x in ((), (0,), (-1,), (2.5,), (math.nan,))}.items()
    elif isinstance(value, np.ndarray | torch.Tensor):
        yield from spoilt_values(value)


def spoilt_values(value):
    kind = torch.as_tensor if isinstance(value, torch.Tensor) else np.asarray
    values = np.array(value)
    broken = values.astype(float)
    for number in (math.nan, math.inf):
        broken.flat[0] = number
        yield f"one {number}", kind(broken.copy())
    yield "zeros", kind(0 * values)
    yield "huge", kind(1e100 * values.astype(float))
    yield "empty", kind(values[:0])
    yield "one more axis", kind(values[None])
    yield "one axis fewer", kind(values[0])
    yield "one more column", kind(np.concatenate([values, values[..., :1]], axis=-1))
    yield "one row fewer", kind(values[:-1])
    yield "integers", kind(values.round().astype(int))
    yield "booleans", kind(values > 0)
    yield "complex", kind(values.astype(complex))
    yield "single precision", kind(values.astype(np.float32))


def finite(what, good=lambda x: ~np.isnan(x), depth=0):
    """Whether all numbers of a result or an argument are good: no NaN, if nothing else is asked for."""
    if isinstance(what, torch.Tensor):
        what = what.detach().numpy()
    if isinstance(what, float | complex | np.ndarray | np.generic):
        return np.asarray(what).dtype.kind not in "fc" or bool(good(what).all())
    if isinstance(what, torch.nn.Module):
        what = [*what.parameters()]
    if dataclasses.is_dataclass(what):
        what = [getattr(what, f.name) for f in dataclasses.fields(what)]
    if depth < 3 and isinstance(what, tuple | list):
        return all(finite(part, good, depth + 1) for part in what)
    return True


class Hang(BaseException):
    """A call that does not end."""


def hang(*_):
    raise Hang


def verdict(call, arguments, name, wrong):
    """What is bad about how a call ends, or nothing."""
    try:
        result = call(**arguments | {name: wrong})
    except (TypeError, FloatingPointError):
        return ""
    except ValueError as error:
        good = re.search(r"^[^:]+: .*expected", str(error), re.DOTALL)
        return "" if good else f"raw ValueError: {str(error)[:80]}"
    except Hang:
        return "hangs"
    except Exception as error:
        return f"raw {type(error).__name__}: {str(error)[:80]}"
    bad = finite(wrong, np.isfinite) and not finite(result)
    return "NaN from finite input" if bad else ""


@pytest.fixture(autouse=True)
def _limit():
    previous = signal.signal(signal.SIGALRM, hang)
    yield
    signal.signal(signal.SIGALRM, previous)


def complaints(call, arguments):
    found = []
    for name, value in arguments.items():
        for what, wrong in spoilt(value):
            signal.alarm(5)
            if bad := verdict(call, arguments, name, wrong):
                found.append(f"{name} = {what}: {bad}")
            signal.alarm(0)
    return found


@pytest.mark.skipif(sys.platform == "win32", reason="no alarm there")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TABLE)
def test_bad_input_gives_an_answer_or_an_error_that_helps(name):
    call, arguments = TABLE[name]
    call(**arguments)
    found = complaints(call, arguments)
    assert not found, "\n".join([name, *found])
