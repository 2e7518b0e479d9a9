"""Blocks that were cut at black or white, coded again so that they decode as they did before.

Where a decoder cut samples at 0 or 255, nobody knows how far beyond they were: taken at face value they
give other coefficients than the source's, and black letters on white blur by up to a grey level in ten.
Any coefficients will do that decode to the same samples, so they are searched for: what lies beyond may be
as far beyond as suits the samples that were not cut.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["settle_clipped", "transformed"]

Floats = NDArray[np.float32]
_LOW, _HIGH = -128, 127
_ROUNDS, _STEPS = 8, 16
_CLOSE = 32.0
"""Squared error of a block's 64 samples below which nothing is searched for."""
_AT_ONCE = 1 << 14
# Rows of 64 times a 64x64 matrix below which no BLAS asks its other threads for help: waking them takes
# longer than the work, and many times as long on a machine that has other work.
_ROWS = 64


def settle_clipped(coefficients: Floats, samples: Floats, transform: Floats, table: NDArray[Any]) -> None:
    """Improve, in place, the coefficients of blocks whose samples were cut.

    coefficients: (n, 64) in whole steps of the table. samples: (n, 64) around 0, as they must decode.
    transform: turns samples into coefficients. table: the steps, in the same order.
    """
    inverse = np.ascontiguousarray(transform.T * np.square(table.astype(np.float32))[:, None])
    cut = np.flatnonzero(((samples == _LOW) | (samples == _HIGH)).any(axis=1))
    for start in range(0, len(cut), _AT_ONCE):
        part = cut[start : start + _AT_ONCE]
        part = part[_error(coefficients[part], samples[part], inverse) > _CLOSE]
        if not len(part):
            continue
        found = _projected(coefficients[part], samples[part], transform, inverse)
        coefficients[part] = _stepped(found, samples[part], inverse)


def transformed(blocks: Floats, matrix: Floats) -> Floats:
    """(n, 64) @ (64, 64), on this thread alone."""
    whole = len(blocks) // _ROWS * _ROWS
    out = np.empty((len(blocks), matrix.shape[1]), np.float32)
    np.matmul(blocks[:whole].reshape(-1, _ROWS, 64), matrix, out=out[:whole].reshape(-1, _ROWS, 64))
    if whole < len(blocks):
        np.matmul(blocks[whole:], matrix, out=out[whole:])
    return out


def _error(coefficients: Floats, samples: Floats, inverse: Floats) -> Floats:
    decoded = np.clip(np.rint(transformed(coefficients, inverse)), _LOW, _HIGH)
    return np.asarray(np.square(decoded - samples).sum(axis=1))


def _projected(coefficients: Floats, samples: Floats, transform: Floats, inverse: Floats) -> Floats:
    """Let the cut samples be where the coefficients put them, and round again; the best of some rounds."""
    best, error = coefficients, _error(coefficients, samples, inverse)
    wanted = samples
    for _ in range(_ROUNDS):
        decoded = transformed(np.rint(transformed(wanted, transform)), inverse)
        wanted = np.where(samples == _HIGH, np.maximum(decoded, _HIGH), samples)
        wanted = np.where(samples == _LOW, np.minimum(decoded, _LOW), wanted)
        tried = np.rint(transformed(wanted, transform))
        now = _error(tried, samples, inverse)
        best = np.where((now < error)[:, None], tried, best)
        error = np.minimum(now, error)
    return best


def _stepped(coefficients: Floats, samples: Floats, inverse: Floats) -> Floats:
    """Move, step by step, the one coefficient of each block that promises most, as long as it helps."""
    out, error = coefficients.copy(), _error(coefficients, samples, inverse)
    left = np.flatnonzero(error > _CLOSE)
    turned = np.ascontiguousarray(inverse.T)
    squares = np.square(turned)
    for _ in range(_STEPS):
        wanted = samples[left]
        missing = wanted - transformed(out[left], inverse)
        # A sample that was cut and still lies beyond is as it should be, whatever becomes of it.
        free = ((wanted < _HIGH) | (missing > 0)) & ((wanted > _LOW) | (missing < 0))
        pull = transformed(missing * free, turned)
        chosen = (2 * np.abs(pull) - transformed(free.astype(np.float32), squares)).argmax(axis=1)
        rows = np.arange(len(left))
        tried = out[left]
        tried[rows, chosen] += np.sign(pull[rows, chosen])
        now = _error(tried, wanted, inverse)
        better = now < error[left]
        left, now = left[better], now[better]
        out[left], error[left] = tried[better], now
        left = left[now > _CLOSE]
        if not len(left):
            break
    return out
