import functools
import shutil
import subprocess
import sys
import textwrap
from typing import NamedTuple

import numpy as np
import pytest

from scinn.exceptions import ScinnWarning
from scinn.inverse.samplers import GPCN, PCN, AdaptivePCN, EllipticalSlice, InfHMC, ParallelTempering
from scinn.inverse.sampling import SamplingProgress, sample
from scinn.random import Key


def make_target(scale=1.0, dim=3):
    """Linear-Gaussian data, with a function on a grid; the class is local, so that it travels by value."""
    import numpy as np

    class Target:
        def __init__(self):
            rng = np.random.default_rng(7)
            self.dim = dim
            self.matrix = scale * rng.standard_normal((4, dim))
            self.data = rng.standard_normal(4)
            self.basis = rng.standard_normal((6, dim))
            self.points = np.linspace(-1, 1, 6)[:, None]

        def misfit(self, xi, stop_above=np.inf):
            residual = self.matrix @ xi - self.data
            return 0.5 * float(residual @ residual)

        def misfit_and_gradient(self, xi):
            residual = self.matrix @ xi - self.data
            return 0.5 * float(residual @ residual), self.matrix.T @ residual

        def field(self, xi):
            return xi @ self.basis.T

    return Target()


class Walk:
    """The least that a sampler is: no run, no warm-up."""

    class State(NamedTuple):
        position: np.ndarray
        misfit: float

    class Info(NamedTuple):
        accepted: bool

    def __init__(self, target):
        self.target = target

    def init(self, position, rng):
        return self.State(position, self.target.misfit(position))

    def step(self, rng, state):
        proposal = 0.8 * state.position + 0.6 * rng.standard_normal(self.target.dim)
        misfit = self.target.misfit(proposal)
        accepted = misfit <= state.misfit + rng.standard_exponential()
        return (self.State(proposal, misfit) if accepted else state), self.Info(accepted)


def same(a, b):
    """Whether two results have the same bits."""
    arrays = [(a.misfit, b.misfit), (a.fields, b.fields), (a.positions, b.positions)]
    arrays += [(a.records[name], b.records[name]) for name in a.records]
    return a.acceptance_rate == b.acceptance_rate and all(
        x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes() for x, y in arrays
    )


OPTIONS = {"n_draws": 30, "n_chains": 3, "n_warmup": 25, "rng": 11, "thin": 2, "block": 7}


def test_shapes_and_what_is_recorded():
    target = make_target()
    record = {"first": lambda xi: xi[0], "ends": lambda xi, u: u[[0, -1]]}
    chains = sample(PCN, target, record=record, **OPTIONS)
    assert chains.misfit.shape == (3, 30)
    assert chains.fields.shape == (3, 30, 6)
    assert chains.positions.shape == (3, 30, 3)
    assert chains.records["first"].shape == (3, 30)
    assert chains.records["ends"].shape == (3, 30, 2)
    assert (chains.n_warmup, chains.thin, chains.sampler) == (25, 2, "PCN")
    for c, n in ((0, 0), (2, 29)):
        position = chains.positions[c, n]
        assert chains.misfit[c, n] == target.misfit(position)
        np.testing.assert_array_equal(chains.fields[c, n], target.field(position))
        assert chains.records["first"][c, n] == position[0]
    assert all(0.0 < rate < 1.0 for rate in chains.acceptance_rate)


@pytest.mark.parametrize("make", [PCN, functools.partial(InfHMC, n_leapfrog=4), EllipticalSlice])
def test_draws_are_those_of_the_posterior(make):
    target = make_target()
    chains = sample(make, target, n_draws=600, n_chains=4, n_warmup=200, rng=1, thin=6)
    precision = np.eye(3) + target.matrix.T @ target.matrix
    mean = np.linalg.solve(precision, target.matrix.T @ target.data)
    summary = chains.summary()
    assert summary.converged, summary
    error = np.sqrt(np.diag(np.linalg.inv(precision)) / summary.ess_bulk)
    assert np.all(np.abs(chains.positions.mean(axis=(0, 1)) - mean) < 5 * error)


def test_warm_up_is_no_part_of_the_draws():
    """The draws are those of warming up and running on, by hand."""
    target, key = make_target(), Key(11)
    chains = sample(PCN, target, **OPTIONS)
    sampler, rng = PCN(target), key.child("chain", 1).generator()
    state = sampler.init(key.child("initial", 1).generator().standard_normal(3), rng)
    state = sampler.warmup(rng, state, 25)
    _, info = sampler.run(rng, state, 60, keep_every=2)
    np.testing.assert_array_equal(chains.positions[1], info.positions)
    assert chains.acceptance_rate[1] == info.acceptance_rate


def test_chains_have_streams_of_their_own():
    target = make_target()
    few, many = (sample(PCN, target, **(OPTIONS | {"n_chains": n})) for n in (1, 3))
    np.testing.assert_array_equal(few.positions[0], many.positions[0])
    assert not np.array_equal(many.positions[0], many.positions[1])
    first, again = (sample(PCN, target, **(OPTIONS | {"rng": np.random.default_rng(3)})) for _ in range(2))
    assert same(first, again)


@pytest.mark.parametrize("block", [1, 30, 1000])
def test_bits_do_not_depend_on_the_size_of_the_parts(block):
    target = make_target()
    assert same(sample(PCN, target, **OPTIONS), sample(PCN, target, **(OPTIONS | {"block": block})))


@pytest.mark.parametrize("make", [PCN, functools.partial(ParallelTempering, n_temperatures=3)])
def test_bits_do_not_depend_on_the_number_of_processes(make):
    target = make_target()
    record = {"first": lambda xi: xi[0]}
    alone = sample(make, target, record=record, **OPTIONS)
    assert same(alone, sample(make, target, record=record, n_jobs=2, **OPTIONS))
    assert same(alone, sample(make, target, record=record, n_jobs=-1, **OPTIONS))


class StopError(Exception):
    pass


@pytest.mark.parametrize(
    "make",
    [PCN, AdaptivePCN, InfHMC, Walk, functools.partial(ParallelTempering, n_temperatures=3, n_moves=1)],
)
def test_a_run_stopped_anywhere_goes_on_to_the_same_bits(tmp_path, make):
    target = make_target()
    options = OPTIONS | {"n_chains": 2, "n_warmup": 3, "block": 13}
    calls = []
    whole = sample(make, target, callback=calls.append, **options)
    for stop in range(1, len(calls)):
        folder = tmp_path / str(stop)
        left = iter(range(stop, 0, -1))

        def break_off(progress, left=left):
            if next(left) == 1:
                raise StopError

        with pytest.raises(StopError):
            sample(make, target, checkpoint=folder, callback=break_off, **options)
        heard = []
        again = sample(make, target, checkpoint=folder, callback=heard.append, **options)
        assert same(whole, again)
        assert len(heard) == len(calls) - stop
        # And a third time: all is there.
        assert same(whole, sample(make, target, checkpoint=folder, **options))


def test_a_killed_process_leaves_a_folder_that_goes_on(tmp_path):
    target = make_target()
    whole = sample(PCN, target, **OPTIONS)
    script = textwrap.dedent(
        f"""
        import os, runpy
        from scinn.inverse.samplers import PCN
        from scinn.inverse.sampling import sample
        make_target = runpy.run_path({__file__!r})["make_target"]
        def die(progress):
            if progress.phase == "draws" and progress.n_done == 14 and progress.chain == 1:
                os._exit(9)
        sample(PCN, make_target(), checkpoint={str(tmp_path / "run")!r}, callback=die, **{OPTIONS!r})
        """
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9
    # What a write that was cut off leaves behind has another name, and is not read.
    (tmp_path / "run" / ".chain-0001-part-00009.npz.abc.tmp").write_bytes(b"half")
    assert same(whole, sample(PCN, target, checkpoint=tmp_path / "run", n_jobs=2, **OPTIONS))


def test_a_missing_part_is_made_again(tmp_path):
    target = make_target()
    whole = sample(PCN, target, checkpoint=tmp_path / "run", **OPTIONS)
    parts = sorted((tmp_path / "run").glob("chain-0002-*.npz"))
    parts[-1].unlink()
    parts[-3].unlink()
    assert same(whole, sample(PCN, target, checkpoint=tmp_path / "run", **OPTIONS))


def test_a_run_can_be_made_longer_but_not_shorter(tmp_path):
    target = make_target()
    sample(PCN, target, checkpoint=tmp_path / "run", **(OPTIONS | {"n_draws": 17}))
    longer = sample(PCN, target, checkpoint=tmp_path / "run", **OPTIONS)
    assert same(longer, sample(PCN, target, **OPTIONS))
    with pytest.raises(ValueError, match="raise n_draws"):
        sample(PCN, target, checkpoint=tmp_path / "run", **(OPTIONS | {"n_draws": 17}))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"rng": 12}, "seed: 11"),
        ({"thin": 3}, "thin: 2 in the folder, 3 now"),
        ({"n_warmup": 24}, "n_warmup"),
        ({"n_chains": 2}, "n_chains"),
        ({"keep_positions": False}, "keep_positions"),
        ({"record": {"a": lambda xi: xi[0]}}, "record"),
        ({"initial": np.zeros((3, 3))}, "initial states"),
    ],
)
def test_a_folder_of_another_run_is_refused(tmp_path, change, named):
    target = make_target()
    sample(PCN, target, checkpoint=tmp_path / "run", **OPTIONS)
    with pytest.raises(ValueError, match="belongs to another run") as caught:
        sample(PCN, target, checkpoint=tmp_path / "run", **(OPTIONS | change))
    assert named in str(caught.value)


def test_another_sampler_or_posterior_is_another_run(tmp_path):
    sample(PCN, make_target(), checkpoint=tmp_path / "run", **OPTIONS)
    with pytest.raises(ValueError, match="sampler: 'PCN"):
        sample(functools.partial(PCN, beta=0.3), make_target(), checkpoint=tmp_path / "run", **OPTIONS)
    with pytest.raises(ValueError, match="initial states"):
        sample(PCN, make_target(scale=1.001), checkpoint=tmp_path / "run", **OPTIONS)
    (tmp_path / "run" / "run.npz").unlink()
    with pytest.raises(ValueError, match=r"no run\.npz"):
        sample(PCN, make_target(), checkpoint=tmp_path / "run", **OPTIONS)
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="a folder is wanted"):
        sample(PCN, make_target(), checkpoint=tmp_path / "file", **OPTIONS)


class Directed:
    """Data that the misfit at 0 does not tell apart."""

    dim = 3

    def __init__(self, data):
        self.data = np.array(data)

    def misfit(self, xi, stop_above=np.inf):
        return 0.5 * float(np.sum(xi**2) + self.data @ xi)

    def field(self, xi):
        return 2.0 * xi


@pytest.mark.parametrize("tempered", [False, True])
def test_other_directions_and_other_data_are_another_run(tmp_path, tempered):
    def sampler(angle):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)], [0.0, 0.0]])
        kind = functools.partial(GPCN, reference=(turn, np.array([9.0, 4.0])))
        return functools.partial(ParallelTempering, n_temperatures=3, sampler=kind) if tempered else kind

    options = {"n_draws": 6, "n_chains": 2, "n_warmup": 4, "rng": 1, "initial": np.zeros((2, 3))}
    run = functools.partial(sample, checkpoint=tmp_path / "run", **options)
    whole = run(sampler(0.3), Directed([1.0, 2.0, 3.0]))
    assert same(whole, run(sampler(0.3), Directed([1.0, 2.0, 3.0])))
    with pytest.raises(ValueError, match="belongs to another run") as caught:
        run(sampler(0.4), Directed([1.0, 2.0, 3.0]))
    assert "sampler's arrays" in str(caught.value)
    with pytest.raises(ValueError, match="belongs to another run") as caught:
        run(sampler(0.3), Directed([1.0, 2.0, 4.0]))
    assert "data: " in str(caught.value)
    assert "sampler's arrays" not in str(caught.value)


def test_without_a_seed_the_folder_has_it(tmp_path):
    target, options = make_target(), OPTIONS | {"rng": None}
    first = sample(PCN, target, checkpoint=tmp_path / "run", **options)
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    for part in sorted((tmp_path / "copy").glob("chain-*-part-0000[2-9].npz")):
        part.unlink()
    assert same(first, sample(PCN, target, checkpoint=tmp_path / "copy", **options))
    assert not same(first, sample(PCN, target, **options))


def test_progress_is_told_and_nothing_printed(capsys):
    heard = []
    sample(PCN, make_target(), callback=heard.append, **OPTIONS)
    assert all(isinstance(progress, SamplingProgress) for progress in heard)
    for chain in range(3):
        draws = [p for p in heard if p.chain == chain and p.phase == "draws"]
        assert [p.n_done for p in draws] == [7, 14, 21, 28, 30]
        assert all(p.n_total == 30 and 0.0 <= p.acceptance_rate <= 1.0 for p in draws)
        warmup = [p for p in heard if p.chain == chain and p.phase == "warmup"]
        assert warmup[-1].n_done == warmup[-1].n_total == 25
        assert heard.index(warmup[-1]) < heard.index(draws[0])
    assert capsys.readouterr() == ("", "")
    parallel = []
    sample(PCN, make_target(), callback=parallel.append, n_jobs=2, **OPTIONS)
    strip = [(p.phase, p.chain, p.n_done) for p in heard]
    assert strip == [(p.phase, p.chain, p.n_done) for p in parallel]


def test_chains_begin_where_they_are_told():
    target = make_target()
    starts = np.arange(9.0).reshape(3, 3)

    class Still(Walk):
        def step(self, rng, state):
            return state, self.Info(False)

    given = sample(Still, target, initial=starts, **OPTIONS)
    np.testing.assert_array_equal(given.positions[:, 0], starts)
    drawn = sample(Still, target, initial=lambda rng: np.full(3, rng.random()), **OPTIONS)
    assert len(np.unique(drawn.positions[:, 0])) == 3
    prior = sample(Still, target, **OPTIONS)
    np.testing.assert_array_equal(
        prior.positions[2, 0], Key(11).child("initial", 2).generator().standard_normal(3)
    )
    assert given.acceptance_rate == (0.0, 0.0, 0.0)


def test_memory_is_bounded():
    target = make_target()
    with pytest.warns(ScinnWarning, match="are not kept"):
        chains = sample(PCN, make_target(dim=20), memory_limit=8 * 90 * 10, **OPTIONS)
    assert chains.positions is None
    assert chains.fields.shape == (3, 30, 6)
    with pytest.raises(ValueError, match="raise thin"):
        sample(PCN, target, memory_limit=100, **OPTIONS)
    assert sample(PCN, target, keep_positions=False, **OPTIONS).positions is None


def test_a_sampler_with_its_target_needs_no_posterior():
    target = make_target()
    assert same(sample(PCN(target), **OPTIONS), sample(PCN, target, **OPTIONS))


def test_a_target_without_functions_will_do():
    class Bare:
        dim = 2

        def misfit(self, xi):
            return 0.5 * float(xi @ xi)

    chains = sample(PCN, Bare(), **OPTIONS)
    assert chains.fields is None
    assert chains.points is None


def test_the_misfit_kept_is_the_targets_own():
    """A sampler that walks on another misfit, as collapsed ones do."""
    target = make_target()

    class Collapsed(Walk):
        def init(self, position, rng):
            return self.State(position, 17.0)

        def step(self, rng, state):
            return self.State(state.position + 1.0, 17.0), self.Info(True)

    chains = sample(Collapsed, target, **OPTIONS)
    assert chains.misfit[1, 3] == target.misfit(chains.positions[1, 3])


@pytest.mark.parametrize(
    ("laws", "wanted"),
    [
        (("gaussian", "cauchy"), False),
        (("gaussian", "laplace"), True),
        (("student_t(3)",), True),
        (("stable(1)", "gaussian"), False),
        (("someone's own",), None),
        (None, None),
    ],
)
def test_whether_a_mean_exists_comes_from_the_prior(laws, wanted):
    from types import SimpleNamespace

    target = make_target()
    if laws is not None:
        target.prior = SimpleNamespace(laws=[SimpleNamespace(name=name) for name in laws])
    assert sample(PCN, target, **OPTIONS).mean_exists is wanted


def test_a_collapsed_sampler_of_a_network_goes_on_and_spreads_over_processes(tmp_path):
    from scinn.inverse import CollapsedPCN, Deconvolution1D, Posterior, StableNNPrior

    problem = Deconvolution1D(dim=17, PSF="gaussian", PSF_param=0.2, noise_std=0.3, rng=0)
    posterior = Posterior(StableNNPrior([1, 4, 1], law=("cauchy", "gaussian")), problem)
    whole = sample(CollapsedPCN, posterior, **OPTIONS)
    assert whole.mean_exists is True
    assert whole.misfit[2, 9] == posterior.misfit(whole.positions[2, 9])
    np.testing.assert_array_equal(whole.fields[2, 9], posterior.field(whole.positions[2, 9]))
    np.testing.assert_array_equal(whole.truth, problem.truth)
    assert len(whole.truth_points) == whole.truth.size
    assert same(whole, sample(CollapsedPCN, posterior, n_jobs=2, **OPTIONS))

    def break_off(progress):
        if progress.n_done == 14:
            raise StopError

    with pytest.raises(StopError):
        sample(CollapsedPCN, posterior, checkpoint=tmp_path, callback=break_off, **OPTIONS)
    assert same(whole, sample(CollapsedPCN, posterior, checkpoint=tmp_path, **OPTIONS))


def test_bad_arguments_are_named():
    target = make_target()
    with pytest.raises(ValueError, match="n_draws is 0"):
        sample(PCN, target, n_draws=0)
    with pytest.raises(TypeError, match="posterior is missing"):
        sample(PCN)
    with pytest.raises(TypeError, match="without 'init'"):
        sample(lambda posterior: 3, target)
    with pytest.raises(TypeError, match="sampler is a str"):
        sample("pcn", target)
    with pytest.raises(ValueError, match="initial is 'map'"):
        sample(PCN, target, initial="map")
    with pytest.raises(ValueError, match="initial has shape"):
        sample(PCN, target, n_chains=3, initial=np.zeros((2, 3)))
    with pytest.raises(ValueError, match="'misfit', which is taken"):
        sample(PCN, target, record={"misfit": len})
    with pytest.raises(ValueError, match="n_jobs"):
        sample(PCN, target, n_jobs=0)
