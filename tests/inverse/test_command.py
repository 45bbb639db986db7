from __future__ import annotations

import json
import re

import numpy as np
import pytest

from scinn.inverse import Convolution1D, Convolution2D, Grid, InverseProblem, uniform_grid
from scinn.inverse.command import ending, invert_file, summary_rows
from scinn.inverse.command_data import estimate_noise, observe, read_arrays, scale_problem
from scinn.inverse.command_plan import PRIORS, make_plan

PLAN = {
    "prior": "cauchy-gaussian", "widths": None, "scales": None, "sampler": "auto", "chains": 4, "draws": 500, "thin": None,
    "warmup": None, "starts": None, "jobs": 1, "seed": 0, "map_only": False,
}  # fmt: skip
QUICK = {"widths": "5", "chains": 2, "draws": 20, "thin": 2, "warmup": 40, "starts": 2, "jobs": 1}


def blurred(n=40, sigma=0.05, seed=0):
    grid = uniform_grid(n)
    truth = 1.0 * (np.abs(grid.axes[0] - 0.1) < 0.4)
    noise = np.random.default_rng(seed).normal(scale=sigma, size=n)
    forward = Convolution1D(grid, "gaussian", 0.08, boundary="reflect", normalise=True)
    return grid.axes[0], truth, forward.apply(truth) + noise


@pytest.fixture
def signal(tmp_path):
    x, truth, y = blurred()
    np.savez(tmp_path / "data.npz", y=y, x=x, noise_std=0.05, truth=truth)
    return tmp_path / "data.npz"


def test_noise_is_estimated_in_spite_of_jumps():
    rng = np.random.default_rng(1)
    x = np.linspace(0, 1, 2000)
    y = np.floor(10 * x) + np.sin(6 * x) + rng.normal(scale=0.03, size=2000)
    assert estimate_noise(y) == pytest.approx(0.03, rel=0.1)
    image = 5.0 * (x[:80, None] > 0.02) * (x[None, :90] > 0.01) + rng.normal(scale=0.2, size=(80, 90))
    assert estimate_noise(image) == pytest.approx(0.2, rel=0.1)
    assert estimate_noise(1e6 * y) == pytest.approx(1e6 * estimate_noise(y), rel=1e-9)


def test_noise_that_is_not_there_is_not_estimated():
    with pytest.raises(ValueError, match="shows no noise"):
        estimate_noise(np.linspace(0, 3, 50))
    with pytest.raises(ValueError, match="too few data"):
        estimate_noise(np.ones((50, 7)))


def test_noise_by_level_and_by_the_line(signal):
    y = read_arrays(signal)["y"]
    seen = observe(signal, "identity", noise_level=0.1)
    assert seen.sigma == pytest.approx(0.1 * np.abs(y).max())
    assert "max |y|" in seen.noise_origin
    assert "not used" in seen.noise_origin
    seen = observe(signal, "identity", noise_level=0.1, noise_convention="norm")
    assert seen.sigma == pytest.approx(0.1 * np.sqrt(np.mean(y**2)))
    assert observe(signal, "identity", noise=0.7).sigma == 0.7
    assert observe(signal, "identity").noise_std == 0.05


def test_noise_of_each_datum(tmp_path):
    std = np.linspace(0.1, 0.4, 20)
    np.savez(tmp_path / "d.npz", y=np.arange(20.0), noise_std=std)
    seen = observe(tmp_path / "d.npz", "identity")
    np.testing.assert_array_equal(seen.noise_std, std)
    scaled = scale_problem(seen)
    np.testing.assert_allclose(scaled.problem.noise_std, std / scaled.amplitude)


@pytest.mark.parametrize("kernel", ["gaussian:0.1", "box:0.2", "laplace:0.1", "moffat:0.1", "moffat(3):0.1"])
def test_blurs_keep_constants_inside(signal, kernel):
    seen = observe(signal, kernel)
    np.testing.assert_allclose(seen.operator.apply(np.ones(40)), 1.0, atol=1e-9)


def test_taps_of_a_file_keep_their_orientation_and_size(signal, tmp_path):
    np.save(tmp_path / "psf.npy", np.array([0.0, 1.0, 3.0]))
    seen = observe(signal, str(tmp_path / "psf.npy"), boundary="zero")
    unit = np.zeros(40)
    unit[10] = 1.0
    assert seen.operator.apply(unit)[9:13].tolist() == [0.0, 1.0, 3.0, 0.0]
    assert "sum to 4" in seen.kernel


def test_a_matrix_of_a_file_has_unknowns_of_its_own(tmp_path):
    matrix = np.random.default_rng(0).standard_normal((6, 9))
    np.save(tmp_path / "a.npy", matrix)
    np.savez(tmp_path / "d.npz", y=np.arange(6.0), noise_std=1.0, x=np.linspace(0, 4, 9))
    seen = observe(tmp_path / "d.npz", str(tmp_path / "a.npy"))
    np.testing.assert_array_equal(seen.operator.matrix(), matrix)
    np.testing.assert_array_equal(seen.grid.axes[0], np.linspace(0, 4, 9))
    np.savez(tmp_path / "image.npz", y=np.ones((2, 3)), noise_std=1.0)
    seen = observe(tmp_path / "image.npz", str(tmp_path / "a.npy"), grid="3x3")
    assert seen.grid.shape == (3, 3)


def test_taps_of_an_image(tmp_path):
    np.savez(tmp_path / "d.npz", y=np.eye(6, 8), noise_std=0.1)
    np.save(tmp_path / "psf.npy", np.arange(9.0).reshape(3, 3))
    seen = observe(tmp_path / "d.npz", str(tmp_path / "psf.npy"), boundary="zero")
    expected = Convolution2D(seen.grid, np.arange(9.0).reshape(3, 3))
    np.testing.assert_array_equal(seen.operator.matrix(), expected.matrix())


def test_pixels_are_square_where_there_are_no_coordinates(tmp_path):
    np.savez(tmp_path / "d.npz", y=np.eye(6, 11), noise_std=0.1)
    grid = observe(tmp_path / "d.npz", "gaussian:0.3").grid
    assert grid.spacing[0] == pytest.approx(grid.spacing[1])
    assert grid.axes[1][[0, -1]].tolist() == [-1.0, 1.0]


def test_a_finer_grid_holds_the_data_points(signal, tmp_path):
    x = read_arrays(signal)["x"]
    np.savez(tmp_path / "d.npz", y=np.zeros(40) + x, x=x, noise_std=0.1)
    seen = observe(tmp_path / "d.npz", "identity", grid="118")
    assert seen.grid.shape == (118,)
    np.testing.assert_allclose(seen.operator.apply(seen.grid.axes[0]), x, atol=1e-14)
    np.testing.assert_allclose(seen.grid.axes[0][::3], x, atol=1e-14)
    seen = observe(tmp_path / "d.npz", "integration", grid="118")
    np.testing.assert_allclose(seen.operator.apply(np.ones(118)), x - x[0], atol=1e-14)


def test_narrow_kernels_are_told_of(signal):
    assert "less than the grid's step" in observe(signal, "gaussian:0.001").notes[0]
    assert observe(signal, "gaussian:0.1").notes == ()


def test_uneven_coordinates(tmp_path):
    x = np.array([0.0, 0.1, 0.3, 0.4, 0.8])
    np.savez(tmp_path / "d.npz", y=x, x=x, noise_std=0.1)
    with pytest.raises(ValueError, match="unequal steps; --boundary zero"):
        observe(tmp_path / "d.npz", "gaussian:0.2")
    expected = Convolution1D(Grid((x,)), "gaussian", 0.2, quadrature="trapezoid")
    seen = observe(tmp_path / "d.npz", "gaussian:0.2", boundary="zero")
    np.testing.assert_array_equal(seen.operator.matrix(), expected.matrix())


def test_units_do_not_matter(tmp_path):
    x, truth, y = blurred()
    np.savez(tmp_path / "a.npz", y=y, x=x, noise_std=0.05, truth=truth)
    np.savez(tmp_path / "b.npz", y=1000 + 8 * y, x=50 + 16 * x, noise_std=0.4, truth=1000 + 8 * truth)
    a = scale_problem(observe(tmp_path / "a.npz", "gaussian:0.125"))
    b = scale_problem(observe(tmp_path / "b.npz", "gaussian:2"))
    np.testing.assert_allclose(b.problem.grid.axes[0], a.problem.grid.axes[0], atol=1e-13)
    np.testing.assert_allclose(b.problem.operator.matrix(), a.problem.operator.matrix(), atol=1e-12)
    np.testing.assert_allclose(b.problem.data, a.problem.data, atol=1e-10)
    assert b.problem.noise_std == pytest.approx(a.problem.noise_std)
    v = np.linspace(0, 1, 40)
    np.testing.assert_allclose(b.back(v), 1000 + 8 * a.back(v), rtol=1e-12)


def test_the_scaled_problem_has_the_misfit_of_the_users_own(signal):
    seen = observe(signal, "gaussian:0.08")
    scaled = scale_problem(seen)
    own = InverseProblem(seen.operator, seen.y, seen.noise_std, seen.grid)
    for seed in range(3):
        v = np.random.default_rng(seed).standard_normal(40)
        assert scaled.problem.misfit(v) == pytest.approx(own.misfit(scaled.back(v)), rel=1e-10)


def test_the_size_of_a_function_is_found_behind_an_integral(tmp_path):
    x = np.linspace(0, 10, 101)
    u = 3.0 + 2.0 * np.sign(x - 4)
    seen = np.concatenate([[0.0], np.cumsum(0.05 * (u[1:] + u[:-1]))])
    y = seen + np.random.default_rng(0).normal(scale=0.05, size=101)
    np.savez(tmp_path / "d.npz", y=y, x=x, noise_std=0.05)
    scaled = scale_problem(observe(tmp_path / "d.npz", "integration"))
    assert 0.0 <= scaled.offset <= 6.0
    assert 1.0 <= scaled.amplitude <= 8.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prior": "cauchi"}, "prior is 'cauchi'.*did you mean 'cauchy'"),
        ({"sampler": "pcm"}, "sampler is 'pcm'.*did you mean 'pcn'"),
        ({"prior": "cauchy", "sampler": "collapsed-pcn"}, "needs a network with a Gaussian last layer"),
        ({"prior": "gp", "sampler": "pcn"}, "is sampled exactly"),
        ({"prior": "tv", "sampler": "pcn"}, "no posterior"),
        ({"chains": 1}, "too few for R-hat"),
        ({"chains": 0}, "chains is 0"),
        ({"draws": 3}, "draws is 3"),
        ({"thin": 0}, "thin is 0"),
        ({"warmup": -1}, "warmup is -1"),
        ({"starts": 0}, "starts is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"widths": "20,x"}, "--widths is '20,x'"),
        ({"widths": "0"}, "--widths is '0'"),
        ({"prior": "gp", "widths": "20"}, "--widths is for networks"),
        ({"scales": "10,3,1"}, "3 numbers for the weights, a slash"),
        ({"scales": "10,3/10,3"}, "3 numbers for the weights, a slash"),
        ({"scales": "10,3,-1/1,1,1"}, "positive numbers"),
        ({"scales": "10,3,nan/1,1,1"}, "positive numbers"),
        ({"prior": "besov", "scales": "1,2,3"}, "takes smoothness,scale"),
    ],
)
def test_what_cannot_be_done_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        make_plan(1, **(PLAN | changes))


def test_cauchy_differences_are_for_lines():
    with pytest.raises(ValueError, match="for signals"):
        make_plan(2, **(PLAN | {"prior": "cauchy-difference"}))


def test_scales_of_the_line_reach_the_plan():
    plan = make_plan(1, **(PLAN | {"widths": "4,5,6", "scales": "1,2,3,4/5,6,7,8"}))
    assert (plan.widths, plan.weight_scale, plan.bias_scale) == ((4, 5, 6), (1, 2, 3, 4), (5, 6, 7, 8))
    plan = make_plan(2, **(PLAN | {"widths": "4"}))
    assert (plan.weight_scale, plan.bias_scale) == ((6.0, 1.0), (6.0, 0.5))
    assert make_plan(1, **(PLAN | {"prior": "besov", "scales": "2"})).numbers == {
        "smoothness": 2.0,
        "scale": 0.1,
    }


@pytest.mark.parametrize("prior", PRIORS)
def test_every_prior_gives_a_report(signal, tmp_path, prior):
    options = QUICK if prior in ("cauchy", "gaussian", "cauchy-gaussian") else QUICK | {"widths": None}
    report = invert_file(signal, kernel="gaussian:0.08", out=tmp_path / "out", prior=prior, **options)
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == set(report["files"])
    assert json.loads((tmp_path / "out" / "result.json").read_text()) == report
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".tmp")]
    with np.load(tmp_path / "out" / "result.npz", allow_pickle=False) as arrays:
        held = {name: arrays[name] for name in arrays.files}
    assert report["errors"]["map"] == pytest.approx(
        np.linalg.norm(held["map"] - held["truth"]) / np.linalg.norm(held["truth"])
    )
    sampled = prior != "tv"
    assert ("median" in held) == sampled
    if sampled:
        assert held["quantiles"].shape == (5, 40)
        assert (np.diff(held["quantiles"], axis=0) >= 0).all()
        assert held["jump_probability"].shape == (39,)
        np.testing.assert_array_equal(held["median"], held["quantiles"][2])
        assert held["misfit"].shape == (2, 20)
    # A blurred step in small noise: nothing that calls itself a reconstruction is worse than that.
    assert report["errors"]["map"] < 0.6
    page = (tmp_path / "out" / "report.html").read_text()
    assert report["convergence"]["verdict"].split(" (")[0] in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert len(summary_rows(report)) >= 2
    assert "report.html" in ending(report)


def test_an_image(tmp_path):
    rng = np.random.default_rng(0)
    truth = np.zeros((9, 12))
    truth[3:7, 4:9] = 1.0
    np.savez(tmp_path / "d.npz", y=truth + rng.normal(scale=0.1, size=truth.shape), noise_std=0.1)
    report = invert_file(tmp_path / "d.npz", kernel="identity", out=tmp_path / "out", **QUICK)
    with np.load(tmp_path / "out" / "result.npz") as arrays:
        assert arrays["median"].shape == arrays["jump_probability"].shape == (9, 12)
        assert arrays["x_a"].shape == (9,)
    assert report["errors"] is None
    assert report["jumps"] == []
    assert (tmp_path / "out" / "reconstruction.png").read_bytes()[:4] == b"\x89PNG"


def test_a_gaussian_process_agrees_with_its_exact_posterior(signal, tmp_path):
    from scinn.inverse import GaussianProcessPrior

    options = {"prior": "gp", "scales": "0.2,1.5", "chains": 4, "draws": 2000, "jobs": 1}
    invert_file(signal, kernel="gaussian:0.08", out=tmp_path / "out", **options)
    scaled = scale_problem(observe(signal, "gaussian:0.08"))
    exact = GaussianProcessPrior("matern32", 0.2, 1.5).posterior(scaled.problem)
    with np.load(tmp_path / "out" / "result.npz") as arrays:
        np.testing.assert_allclose(arrays["map"], scaled.back(exact.mean))
        std = scaled.amplitude * exact.std
        width = np.ptp(arrays["quantiles"][[0, -1]], axis=0)
        # 8000 draws know a 5 % quantile to about 0.024 standard deviations.
        np.testing.assert_allclose(width, 2 * 1.6449 * std, atol=0.2 * std.max())
        np.testing.assert_allclose(arrays["median"], arrays["map"], atol=0.1 * std.max())


def test_the_numbers_depend_on_the_seed_alone(signal, tmp_path):
    def run(name, **options):
        invert_file(signal, kernel="gaussian:0.08", out=tmp_path / name, **(QUICK | options))
        with np.load(tmp_path / name / "result.npz") as arrays:
            return {key: arrays[key].copy() for key in arrays.files if key != "meta"}

    first, again, other = run("a"), run("b", jobs=2), run("c", seed=1)
    assert all(np.array_equal(first[key], again[key]) for key in first)
    assert not np.array_equal(first["median"], other["median"])
    names = ("reconstruction.svg", "fit.svg", "reconstruction.png")
    assert all((tmp_path / "a" / n).read_bytes() == (tmp_path / "b" / n).read_bytes() for n in names)


def test_a_run_goes_on_from_its_checkpoint(signal, tmp_path, monkeypatch):
    from scinn.inverse import sampling

    whole = invert_file(signal, kernel="gaussian:0.08", out=tmp_path / "whole", **QUICK)
    real, calls = sampling._advance, []

    def stop(*job):
        calls.append(job)
        if len(calls) > 50:
            raise KeyboardInterrupt
        return real(*job)

    monkeypatch.setattr(sampling, "_advance", stop)
    options = {"kernel": "gaussian:0.08", "out": tmp_path / "out", "checkpoint": tmp_path / "run", **QUICK}
    with pytest.raises(KeyboardInterrupt):
        invert_file(signal, **options)
    assert not (tmp_path / "out").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"data.npz", "whole", "run"}
    calls.clear()
    resumed = invert_file(signal, **options)
    assert 0 < len(calls) < 50
    assert resumed["convergence"] == whole["convergence"] | {"advice": resumed["convergence"]["advice"]}
    with np.load(tmp_path / "whole" / "result.npz") as a, np.load(tmp_path / "out" / "result.npz") as b:
        assert all(np.array_equal(a[key], b[key]) for key in a.files)


def test_nothing_is_left_where_the_report_fails(signal, tmp_path, monkeypatch):
    from scinn.inverse import command_report

    def fail(*_):
        raise OSError("no space")

    monkeypatch.setattr(command_report, "render_page", fail)
    with pytest.raises(OSError, match="no space"):
        invert_file(signal, kernel="gaussian:0.08", out=tmp_path / "out", prior="tv")
    assert [path.name for path in tmp_path.iterdir()] == ["data.npz"]


def test_a_folder_in_use_is_refused_and_kept(signal, tmp_path):
    options = {"kernel": "gaussian:0.08", "prior": "tv"}
    out = tmp_path / "out"
    out.mkdir()
    invert_file(signal, out=out, **options)
    (out / "mine.txt").write_text("kept")
    with pytest.raises(FileExistsError, match="not empty; pass --force"):
        invert_file(signal, out=out, **options)
    invert_file(signal, out=out, force=True, seed=5, **options)
    assert (out / "mine.txt").read_text() == "kept"
    assert json.loads((out / "result.json").read_text())["seed"] == 5
    with pytest.raises(FileExistsError, match="is a file"):
        invert_file(signal, out=signal, **options)
    with pytest.raises(FileExistsError, match="holds the data"):
        invert_file(signal, out=tmp_path, force=True, **options)


def test_a_page_says_that_the_noise_was_estimated_and_the_chains_disagree(tmp_path):
    _, _, y = blurred()
    np.savez(tmp_path / "<b>.npz", y=y)
    said = []
    report = invert_file(
        tmp_path / "<b>.npz", kernel="gaussian:0.08", out=tmp_path / "out", callback=said.append, **QUICK
    )
    assert any("NOTE: no noise was given" in line for line in said)
    assert report["noise"]["estimated"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.index("not converged") < page.index("No noise was given") < page.index("<figure>")
    assert "&lt;b&gt;.npz" in page
    assert "<b>.npz" not in page
