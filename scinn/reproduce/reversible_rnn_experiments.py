"""The experiments behind the claims of *Reversible Recurrent Neural Networks*.

Language models are trained on the first words of the training part, the epoch is chosen on the validation part,
perplexity is that of the test part. Translation likewise. Random inputs and weights are keyed by the seed.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from scinn import datasets
from scinn.exceptions import DataUnavailableError, MissingExtraError, ReversibilityError
from scinn.nn import Adam
from scinn.random import Key
from scinn.recurrent import (
    LanguageModel,
    RevGRU,
    RevLSTM,
    Seq2Seq,
    corpus_bleu,
    train_language_model,
    train_repeat_task,
    train_translation,
    translate,
)
from scinn.recurrent.tape import CODERS

__all__ = ["EXPERIMENTS"]


class _RandomStream:
    """Gaussian inputs that are drawn again whenever they are asked for."""

    def __init__(self, n_steps: int, n_rows: int, n_in: int, key: Key, block: int) -> None:
        self.shape = (n_steps, n_rows, n_in)
        self._key, self._block = key, block

    def block(self, first: int, end: int) -> np.ndarray:
        """Return steps ``first`` to ``end - 1``."""
        generator = self._key.child(first // self._block).generator()
        return generator.standard_normal((end - first, *self.shape[1:]), dtype=np.float32)

    def accumulate(self, first: int, end: int, dx: np.ndarray) -> None:
        """Throw the gradient by the inputs away."""


def exact(params: dict[str, Any], seed: int) -> dict[str, Any]:
    """Run a small random network for many steps and back again, with every check on."""
    key, n_hidden = Key(seed).child("exact", params["cell"]), 8
    cell: Any = RevGRU if params["cell"] == "gru" else RevLSTM
    options = {} if params["cell"] == "gru" else {"bounded": 4.0}
    net = cell(4, n_hidden, block=50, rng=key.child("weights"), **options)
    for value in net.params.values():
        value *= 2.0
    stream = _RandomStream(params["n_steps"], 2, 4, key.child("inputs"), net.block)
    trace = net.forward_pass(stream, monitor=True)
    memory = trace.memory_report()
    try:
        net.backward_pass(trace, lambda first, end, outputs: None)
        restored = True
    except ReversibilityError:
        restored = False
    return {
        "restored": restored,
        "bits_left": len(trace.tapes),
        "n_steps": params["n_steps"],
        "n_hidden": n_hidden,
        "stored_bits": memory.stored_bits,
        "ideal_bits": memory.ideal_bits,
    }


def repeat(params: dict[str, Any], seed: int) -> dict[str, Any]:
    """Learn to say the symbol that was read last, at one length of sequences."""
    accuracy = train_repeat_task(
        cell=params["cell"],
        n_symbols=params["n_symbols"],
        n_hidden=params["n_hidden"],
        n_steps=params["length"],
        n_updates=params["n_updates"],
        rng=Key(seed).child("repeat", params["cell"], params["length"]),
    )
    return {"error": 1.0 - float(accuracy)}


def language(params: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train a language model; measure perplexity and, of a reversible one, what it remembers."""
    name = params["dataset"]
    data: Any = datasets.load(name, level="words") if name == "python-topics" else datasets.load(name)
    data = datasets.limit_vocabulary(
        data._replace(
            train=data.train[: params["n_train"]],
            valid=data.valid[: params["n_held_out"]],
            test=data.test[: params["n_held_out"]],
        ),
        params["n_symbols"],
    )
    key, bits, n_hidden = Key(seed).child("language"), params["bits"], params["n_hidden"]
    model = LanguageModel(
        len(data.vocabulary),
        n_hidden,
        n_hidden,
        cell=params["cell"] if bits is None else f"rev_{params['cell']}",
        max_forget_bits=3.0 if bits is None else bits,
        bounded=params.get("bounded"),
        dropout_input=0.2,
        dropout_output=0.2,
        rng=key.child("weights"),
    )
    history = train_language_model(
        model,
        data.train,
        data.valid,
        n_epochs=params["n_epochs"],
        key=key.child("training"),
        n_rows=params["n_rows"],
        n_steps=params["n_steps"],
    )
    out: dict[str, Any] = {
        "valid_perplexity": history["valid_perplexity"],
        "test_perplexity": model.evaluate(data.test).perplexity,
        "n_symbols": len(data.vocabulary),
        "n_parameters": model.n_parameters,
    }
    if bits is not None:
        out |= _remembered(model, data.valid, params)
    return out


def _remembered(model: LanguageModel, ids: np.ndarray, params: dict[str, Any]) -> dict[str, Any]:
    """Measure the memory of a trained model with each coder, and what it forgets."""
    text = datasets.batch_stream(ids, params["n_rows"])
    cell: Any = model.cell
    usual, memory, forgotten = cell.coder, {}, {}
    for n_steps in (70, params["n_memory_steps"]):
        found = {}
        for coder in CODERS:
            cell.coder = coder
            report = model.loss_and_gradients(
                text[:n_steps], text[1 : n_steps + 1], train=False, monitor=True
            ).memory
            assert report.ideal_bits is not None
            found[coder] = {
                "stored_bits": report.stored_bits,
                "ideal_bits": report.ideal_bits,
                "ratio": report.naive_bits / report.stored_bits,
                "ideal_ratio": report.naive_bits / report.ideal_bits,
                "workspace_bytes": report.workspace_bytes,
            }
            if coder == usual:
                assert report.forgotten is not None
                forgotten = {
                    "by_unit": report.forgotten[0].mean(axis=0),
                    "by_step": report.forgotten[0].mean(axis=1),
                }
        memory[str(n_steps)] = found
    cell.coder = usual
    return {"memory": memory, "forgotten": forgotten}


def translation(params: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train an encoder-decoder with one kind of context; measure its quality and what it remembers."""
    return (_backwards if params["dataset"] is None else _multi30k)(params, seed)


def _model(params: dict[str, Any], n_source: int, n_target: int, key: Key) -> Seq2Seq:
    n_slice = params["n_slice"] if "slice" in params["context"] else None
    return Seq2Seq(
        n_source, n_target, params["n_hidden"], params["n_hidden"], context=params["context"], n_slice=n_slice,
        dropout=0.1, rng=key.child("weights"),
    )  # fmt: skip


def _fit(model: Seq2Seq, train: Any, valid: Any, params: dict[str, Any], key: Key) -> dict[str, Any]:
    history = train_translation(
        model, train, valid, n_epochs=params["n_epochs"], key=key.child("training"), batch_size=params["n_rows"],
        optimizer=Adam(0.003),
    )  # fmt: skip
    return {
        "valid_perplexity": history["val_perplexity"],
        "encoder_ratio": history["encoder_ratio"][-1],
        "decoder_ratio": history["decoder_ratio"][-1],
    }


def _rows(ids: np.ndarray, lengths: np.ndarray) -> list[list[int]]:
    return [ids[:n, i].tolist() for i, n in enumerate(lengths)]


def _backwards(params: dict[str, Any], seed: int) -> dict[str, Any]:
    key = Key(seed).child("backwards")
    longest = params["length"]

    def draw(name: str, n_rows: int) -> Any:
        return datasets.reversal_task(
            params["n_symbols"], n_rows, min_length=longest // 2, max_length=longest, rng=key.child(name)
        )

    parts = {name: draw(name, n) for name, n in (("train", params["n_pairs"]), ("valid", 200), ("test", 200))}
    train, valid = (
        (_rows(part.source, part.source_lengths), _rows(part.target, part.target_lengths))
        for part in (parts["train"], parts["valid"])
    )
    size, marks, test = params["n_symbols"] + 4, datasets.Vocabulary, parts["test"]
    model = _model(params, size, size, key)
    out = _fit(model, train, valid, params, key)
    found = model.beam_search(
        test.source, test.source_lengths, max_steps=longest + 2, begin=marks.bos, end=marks.eos, beam=1
    )
    right = wanted = 0
    for (best,), row in zip(found, _rows(test.target, test.target_lengths), strict=True):
        said, target = list(best.tokens), row[1:-1]
        right += sum(a == b for a, b in zip(said, target, strict=False))
        wanted += len(target)
    return {"score": 100.0 * right / wanted, **out}


def _multi30k(params: dict[str, Any], seed: int) -> dict[str, Any]:
    data: Any = datasets.load("multi30k")
    key = Key(seed).child("multi30k")
    train = datasets.ParallelText(
        data.train.source[: params["n_pairs"]], data.train.target[: params["n_pairs"]]
    )
    source, target = (
        datasets.Vocabulary.build(side, max_size=params["n_symbols"], min_count=2) for side in train
    )
    model = _model(params, len(source), len(target), key)
    fit, check = (
        datasets.encode_pairs(part, source, target, max_length=longest)
        for part, longest in ((train, params["length"]), (data.valid, None))
    )
    out = _fit(model, fit, check, params, key)
    wanted = [" ".join(datasets.tokenize_words(sentence)) for sentence in data.test.target]
    said = [" ".join(found.words) for found in translate(model, data.test.source, source, target)]
    try:
        out["score"] = corpus_bleu(said, wanted).score
    except MissingExtraError as error:
        raise DataUnavailableError(str(error)) from error
    return out


def crossover(params: dict[str, Any], seed: int) -> dict[str, Any]:
    """Take one gradient through a long sequence in one way of remembering, and count what was kept at most."""
    key, n_rows = Key(seed).child("crossover"), 4
    net = RevGRU(16, 32, coder="floor_digit", rng=key.child("weights"))
    stream = _RandomStream(params["n_steps"], n_rows, 16, key.child("inputs"), net.block)
    digest = hashlib.sha256()
    result = net.loss_and_gradients(
        stream, lambda first, end, y: (float((y * y).sum()), 2 * y), memory=params["mode"]
    )
    for name in sorted(result.grads):
        digest.update(np.ascontiguousarray(result.grads[name]).data)
    kept = result.memory.stored_bits + result.memory.kept_bits
    return {"bits_per_unit": kept / (n_rows * 32), "gradients": digest.hexdigest()[:16]}


EXPERIMENTS = {
    "exact": exact,
    "repeat": repeat,
    "language": language,
    "translation": translation,
    "crossover": crossover,
}
