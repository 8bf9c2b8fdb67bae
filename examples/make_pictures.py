"""Pictures of the demo: every one computed here, from formulas and invented shapes; run it to draw them again.

    python examples/make_pictures.py [FOLDER]     (default: examples/tides)

Thirteen pictures belong to the notes on tides, one is shown by a note itself, and four have nothing to do with
tides: they are there to be left out. One file, however long, so that it runs alone.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LightSource, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Ellipse, FancyArrowPatch, Polygon, Rectangle, Wedge
from PIL import Image
from scipy.ndimage import gaussian_filter

INK, SOFT, PALE = "#24221e", "#6b665b", "#e6e1d4"
SEA, DEEP, SHOAL = "#2f86a6", "#0b4a61", "#a9d3df"
SAND, CORAL, WEED, SUN, MOON = "#d8b57a", "#c4523a", "#5f7f4a", "#f0b429", "#b9b6ad"
DPI = 140
# Periods in hours of the constituents that are used, and their amplitudes in metres at an invented harbour.
PERIOD_H = {"M2": 12.4206012, "S2": 12.0, "N2": 12.65834751, "K1": 23.93447213, "O1": 25.81933871, "M4": 6.21030061}


def new_figure(width_in: float, height_in: float) -> Figure:
    return plt.figure(figsize=(width_in, height_in), dpi=DPI, facecolor="white")


def bare(figure: Figure, x0: float, x1: float, y0: float, y1: float) -> Axes:
    """Axes without a frame over the whole figure, in equal units."""
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(x0, x1), ylim=(y0, y1), aspect="equal")
    axes.axis("off")
    return axes


def plain(axes: Axes) -> Axes:
    """A frame that leaves the data alone: no box, thin lines."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(SOFT)
    axes.tick_params(colors=SOFT, labelsize=11)
    axes.xaxis.label.set(color=INK, size=12)
    axes.yaxis.label.set(color=INK, size=12)
    return axes


def arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str = INK, width: float = 1.6
) -> None:
    axes.add_patch(
        FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=14, color=colour, lw=width, shrinkA=0, shrinkB=0)
    )


# --- the pictures -----------------------------------------------------------------------------------------------------


def tide_raising_force() -> Figure:
    figure = new_figure(10, 5.4)
    axes = bare(figure, -2.5, 4.9, -2.0, 2.0)
    axes.add_patch(Ellipse((0, 0), 3.1, 2.42, facecolor=SHOAL, edgecolor="none"))
    axes.add_patch(Circle((0, 0), 1.12, facecolor="#cfc7ae", edgecolor=INK, lw=1.2))
    for degrees in range(0, 360, 15):
        angle = np.radians(degrees)
        x, y = 1.12 * np.cos(angle), 1.12 * np.sin(angle)
        # The difference of the pull: twice outward along the line to the Moon, once inward across it.
        force = np.array([2 * np.cos(angle), -np.sin(angle)]) * 0.3
        arrow(axes, (x, y), (x + force[0], y + force[1]), DEEP, 1.8)
    axes.add_patch(Circle((4.2, 0), 0.34, facecolor=MOON, edgecolor=INK, lw=1.2))
    for x, y, r in ((4.1, 0.1, 0.07), (4.3, -0.08, 0.09), (4.22, 0.2, 0.05)):
        axes.add_patch(Circle((x, y), r, facecolor="#a19d92", edgecolor="none"))
    axes.plot([1.95, 3.8], [0, 0], color=SOFT, lw=1, ls=(0, (5, 4)))
    axes.text(0, 0, "Earth", ha="center", va="center", size=15, color=INK)
    axes.text(4.2, -0.58, "Moon", ha="center", va="center", size=14, color=INK)
    axes.text(2.9, 0.16, "not to scale", ha="center", size=10.5, color=SOFT)
    axes.text(1.2, 1.42, "water drawn\ntowards the Moon", size=11.5, color=DEEP, ha="left")
    axes.text(-1.25, 1.42, "water left\nbehind", size=11.5, color=DEEP, ha="right")
    return figure


def springs_and_neaps() -> Figure:
    figure = new_figure(10, 6.6)
    axes = bare(figure, -5.6, 5.2, -3.63, 3.5)
    orbit = 1.52
    for y, title, moons, water in (
        (1.75, "Spring tide", ((orbit, 0), (-orbit, 0)), (2.44, 1.36)),
        (-1.85, "Neap tide", ((0, orbit), (0, -orbit)), (1.78, 1.92)),
    ):
        axes.add_patch(Wedge((-6.3, y), 1.6, -60, 60, facecolor=SUN, edgecolor="none"))
        for dy in (-0.8, -0.4, 0, 0.4, 0.8):
            axes.plot([-4.4, -2.6], [y + dy, y + dy], color=SUN, lw=1.6)
        axes.text(-5.1, y, "Sun", size=13, color=INK, va="center", ha="center")
        axes.add_patch(Circle((0, y), orbit, facecolor="none", edgecolor=SOFT, lw=0.9, ls=(0, (4, 4))))
        axes.add_patch(Ellipse((0, y), *water, facecolor=SHOAL, edgecolor=SEA, lw=1.5))
        axes.add_patch(Circle((0, y), 0.58, facecolor="#cfc7ae", edgecolor=INK, lw=1.2))
        for dx, dy in moons:
            axes.add_patch(Circle((dx, y + dy), 0.19, facecolor=MOON, edgecolor=INK, lw=1.1, zorder=4))
        axes.text(2.5, y + 0.3, title, size=17, color=INK, weight="bold", va="center")
    axes.text(2.5, 1.72, "new or full moon:\nall in one line", size=12, color=SOFT, va="top")
    axes.text(2.5, -1.88, "half moon: Sun and\nMoon at right angles", size=12, color=SOFT, va="top")
    return figure


def month_of_tides() -> Figure:
    figure = new_figure(11, 4.8)
    axes = plain(figure.add_axes((0.075, 0.15, 0.905, 0.68)))
    hours = np.arange(0, 29.53 * 24, 0.1)
    height = sum(
        a * np.cos(2 * np.pi * hours / PERIOD_H[n] - p)
        for n, a, p in (("M2", 1.75, 0.6), ("S2", 0.66, 1.6), ("N2", 0.33, 0.2), ("K1", 0.1, 1.0), ("O1", 0.08, 2.0))
    )
    level = 3.2 + height
    axes.fill_between(hours / 24, level, 0, color=SHOAL, lw=0)
    axes.plot(hours / 24, level, color=DEEP, lw=0.9)
    axes.axhline(3.2, color=SOFT, lw=0.8, ls=(0, (5, 4)))
    axes.set(xlim=(0, 29.53), ylim=(0, 6.6), xlabel="days", ylabel="metres above chart datum")
    axes.set_xticks(range(0, 30, 2))
    discs = figure.add_axes((0.075, 0.84, 0.905, 0.14))
    discs.set(xlim=(0, 29.53), ylim=(-1, 1))
    discs.axis("off")
    shape = 29.53 / (11 * 0.905) / (2 / (4.8 * 0.14))  # days per unit of height on paper
    for day, lit in ((0.4, "new"), (7.38, "right"), (14.77, "full"), (22.15, "left"), (29.1, "new")):
        disc = Ellipse((day, 0), 1.0 * shape, 1.0, facecolor="white" if lit == "full" else INK, edgecolor=INK, lw=1.2)
        discs.add_patch(disc)
        if lit in ("left", "right"):
            turn = np.linspace(-np.pi / 2, np.pi / 2, 40) * 1.0
            sign = 1 if lit == "right" else -1
            half = np.column_stack([day + sign * np.cos(turn) * 0.5 * shape, np.sin(turn) * 0.5])
            discs.add_patch(Polygon(half, facecolor="white", edgecolor=INK, lw=1.2))
    for day, word in ((1.9, "springs"), (9.3, "neaps"), (16.7, "springs"), (24.1, "neaps")):
        axes.text(day, 0.25, word, ha="center", size=12, color=DEEP, weight="bold")
    return figure


def amphidromes() -> Figure:
    figure = new_figure(10, 6.2)
    axes = figure.add_axes((0.01, 0.02, 0.87, 0.96))
    x, y = np.meshgrid(np.linspace(0, 1000, 700), np.linspace(-260, 260, 420))
    wave_number, radius_km = 2 * np.pi / 1090, 210
    # Two Kelvin waves: one runs in along the southern coast, a weaker one back along the northern.
    tide = np.exp(-y / radius_km - 1j * wave_number * (x - 1000)) + 0.78 * np.exp(
        y / radius_km + 1j * wave_number * (x - 1000)
    )
    hour = (-np.angle(tide) / (2 * np.pi) * 12.42) % 12.42
    colours = axes.imshow(
        hour, cmap="twilight", vmin=0, vmax=12.42, extent=(0, 1000, -260, 260), origin="lower", aspect="auto"
    )
    rings = axes.contour(x, y, 1.3 * np.abs(tide), levels=np.arange(0.5, 7, 0.5), colors="white", linewidths=1.3)
    axes.clabel(rings, fmt="%g m", fontsize=10)
    for step in range(12):
        turn = np.exp(1j * 2 * np.pi * step / 12)
        across = (tide * turn).imag
        ahead = np.where((tide * turn).real > 0, across, np.nan)
        axes.contour(x, y, ahead, levels=[0], colors=INK, linewidths=0.9)
    along = np.linspace(0, 1000, 500)
    wobble = lambda s, p: 16 * np.sin(s / 61 + p) + 9 * np.sin(s / 23 + 2 * p) + 4 * np.sin(s / 9 + p)  # noqa: E731
    axes.fill_between(along, 214 + wobble(along, 1.0), 270, color="#dcd3b8", ec=INK, lw=1.2, zorder=5)
    axes.fill_between(along, -218 + wobble(along, 2.6), -270, color="#dcd3b8", ec=INK, lw=1.2, zorder=5)
    up = np.linspace(-260, 260, 300)
    axes.fill_betweenx(up, 956 + 0.7 * wobble(up, 0.4), 1010, color="#dcd3b8", ec=INK, lw=1.2, zorder=5)
    for k in range(2):
        spot = np.unravel_index(
            np.argmin(np.where((x > 420 * k + 40) & (x < 420 * k + 480), np.abs(tide), 9)), tide.shape
        )
        axes.plot(x[spot], y[spot], "o", ms=9, mfc=CORAL, mec="white", mew=1.5)
    axes.set(xlim=(0, 1000), ylim=(-260, 260), xticks=[], yticks=[])
    axes.text(12, 0, "open sea", rotation=90, va="center", size=12, color="white")
    axes.text(982, 0, "head of the sea", zorder=6, rotation=270, va="center", ha="center", size=11, color=INK)
    bar = figure.colorbar(colours, cax=figure.add_axes((0.905, 0.08, 0.025, 0.84)))
    bar.set_ticks([0, 3, 6, 9, 12])
    bar.set_label("hour of high water", size=12, color=INK)
    bar.ax.tick_params(labelsize=11, colors=SOFT)
    return figure


def resonance() -> Figure:
    figure = new_figure(9, 5.2)
    axes = plain(figure.add_axes((0.1, 0.14, 0.87, 0.82)))
    length_km = np.linspace(0, 620, 800)
    speed = np.sqrt(9.81 * 70)
    k = 2 * np.pi / (12.42 * 3600 * speed) * 1000
    for friction, colour, name in (
        (0.05, CORAL, "little friction"),
        (0.16, SEA, "some friction"),
        (0.4, DEEP, "much friction"),
    ):
        gain = 1 / np.abs(np.cos((k - 1j * k * friction) * length_km))
        axes.plot(length_km, gain, color=colour, lw=2.4, label=name)
    quarter = np.pi / 2 / k
    axes.axvline(quarter, color=SOFT, lw=1, ls=(0, (5, 4)))
    axes.text(quarter + 40, 8.6, "a quarter of the\ntide's wavelength", size=12, color=INK, va="top")
    axes.set(
        xlim=(0, 620),
        ylim=(0, 10),
        xlabel="length of the bay in kilometres, 70 m deep",
        ylabel="range at the head ÷ range at the mouth",
    )
    axes.legend(frameon=False, fontsize=12, loc="upper left")
    return figure


def chart_levels() -> Figure:
    figure = new_figure(9, 7.4)
    axes = bare(figure, 0, 12, -0.9, 8.97)
    axes.add_patch(Rectangle((0, 0.75), 12, 3.65, facecolor=SHOAL))
    axes.add_patch(
        Polygon([(0, -0.9), (0, -0.2), (3, -0.35), (6, 0.1), (8.2, 0.45), (12, 0.5), (12, -0.9)], facecolor=SAND)
    )
    axes.add_patch(Rectangle((9.3, -0.9), 2.7, 8.2, facecolor="#bdb6a6", edgecolor=INK, lw=1.2))
    stones = np.random.default_rng(3)
    for row in range(14):
        for col in range(4):
            left = 9.3 + col * 0.75 - (row % 2) * 0.37
            grey = 0.64 + 0.1 * stones.random()
            low, high = max(9.32, left), min(12, left + 0.7)
            if high > low and row * 0.52 < 7.1:
                axes.add_patch(
                    Rectangle((low, row * 0.52 + 0.03), high - low, 0.46, facecolor=(grey, grey * 0.97, grey * 0.9))
                )
    for y, name, what in (
        (6.9, "HAT", "highest astronomical tide"),
        (6.1, "MHWS", "mean high water springs"),
        (5.0, "MHWN", "mean high water neaps"),
        (3.6, "MSL", "mean sea level"),
        (2.2, "MLWN", "mean low water neaps"),
        (1.1, "MLWS", "mean low water springs"),
        (0.35, "LAT", "lowest astronomical tide = chart datum"),
    ):
        axes.plot(
            [0.3, 9.3],
            [y, y],
            color=CORAL if name in ("LAT", "HAT") else DEEP,
            lw=1.3,
            ls="-" if name in ("LAT", "HAT") else (0, (5, 3)),
        )
        axes.text(0.35, y + 0.09, name, size=13, weight="bold", color=INK)
        axes.text(1.75, y + 0.09, what, size=12, color=SOFT if y > 4.4 else INK)
    axes.add_patch(
        Polygon([(6.0, 4.42), (8.5, 4.42), (8.15, 3.85), (6.35, 3.85)], facecolor=CORAL, edgecolor=INK, lw=1.2)
    )
    axes.add_patch(Polygon([(7.2, 4.5), (7.2, 8.5), (8.4, 5.2)], facecolor="white", edgecolor=INK, lw=1.2))
    axes.plot([7.15, 7.15], [4.4, 8.7], color=INK, lw=2.4)
    return figure


def rule_of_twelfths() -> Figure:
    figure = new_figure(9, 5.4)
    axes = plain(figure.add_axes((0.09, 0.14, 0.88, 0.82)))
    parts = np.array([1, 2, 3, 3, 2, 1])
    low = np.concatenate([[0], np.cumsum(parts)[:-1]])
    shades = [SHOAL, "#7fbccd", SEA, SEA, "#7fbccd", SHOAL]
    axes.bar(np.arange(6) + 0.5, parts, bottom=low, width=0.94, color=shades)
    for hour, (part, base) in enumerate(zip(parts, low, strict=True)):
        axes.text(
            hour + 0.5, base + part / 2, f"{part}⁄12", ha="center", va="center", size=15, color=INK, weight="bold"
        )
    time = np.linspace(0, 6, 200)
    axes.plot(time, 6 - 6 * np.cos(np.pi * time / 6), color=CORAL, lw=2.6)
    axes.text(4.35, 11.3, "cosine", color=CORAL, size=13, ha="right")
    axes.set(xlim=(0, 6), ylim=(0, 12.4), xlabel="hours after low water", ylabel="twelfths of the range")
    axes.set_yticks(range(0, 13, 3))
    return figure


def stream_and_height() -> Figure:
    figure = new_figure(10, 6)
    hours = np.linspace(0, 24.84, 600)
    turn = 2 * np.pi * hours / 12.42
    for row, (shift, title) in enumerate(
        (
            (0.0, "Along an open coast"),
            (np.pi / 2, "At the head of a bay"),
        )
    ):
        axes = plain(figure.add_axes((0.07, 0.57 - row * 0.47, 0.9, 0.34)))
        stream = np.cos(turn + shift)
        axes.fill_between(hours, 0, stream, where=stream > 0, color=SEA, alpha=0.35, lw=0, label="flood stream")
        axes.fill_between(hours, 0, stream, where=stream < 0, color=CORAL, alpha=0.35, lw=0, label="ebb stream")
        axes.plot(hours, np.cos(turn), color=INK, lw=2.2, label="height")
        slack = [h for h in np.arange(0, 24.84, 0.01) if abs(np.cos(2 * np.pi * h / 12.42 + shift)) < 0.0026]
        axes.plot(slack, np.zeros(len(slack)), "o", ms=7, mfc="white", mec=INK, mew=1.4)
        axes.axhline(0, color=SOFT, lw=0.8)
        axes.set(xlim=(0, 24.84), ylim=(-1.15, 1.15), yticks=[])
        axes.set_xticks(range(0, 25, 3))
        axes.set_title(title, loc="left", size=13, color=INK)
    axes.set_xlabel("hours; circles mark slack water")
    figure.axes[0].legend(
        frameon=False, ncols=3, fontsize=11, loc="lower right", bbox_to_anchor=(1, 0.98), borderaxespad=0
    )
    return figure


def constituents() -> Figure:
    figure = new_figure(9.4, 7)
    hours = np.linspace(0, 96, 1500)
    rows = (("M2", 1.2, 0.3), ("S2", 0.45, 1.1), ("K1", 0.35, 2.0), ("O1", 0.25, 0.4), ("M4", 0.14, 1.0))
    axes = figure.add_axes((0.08, 0.09, 0.9, 0.89))
    total = np.zeros_like(hours)
    base = 8.0
    for (name, amplitude, lag), colour in zip(rows, (DEEP, SUN, WEED, CORAL, SOFT), strict=True):
        wave = amplitude * np.cos(2 * np.pi * hours / PERIOD_H[name] - lag)
        total += wave
        base -= 1.25 if name != "M2" else 0
        axes.plot(hours, base + 0.75 * wave, color=colour, lw=2)
        axes.text(-1.5, base, name, ha="right", va="center", size=13, color=colour, weight="bold")
    axes.axhline(1.72, color=PALE, lw=1.5)
    axes.fill_between(hours, 0.0 + 0.75 * total, -1.9, color=SHOAL, lw=0)
    axes.plot(hours, 0.0 + 0.75 * total, color=INK, lw=2.4)
    axes.text(-1.5, 0, "sum", ha="right", va="center", size=13, color=INK, weight="bold")
    axes.set(xlim=(0, 96), ylim=(-1.9, 9.1), yticks=[], xlabel="hours")
    axes.set_xticks(range(0, 97, 12))
    plain(axes).spines["left"].set_visible(False)
    return figure


def kinds_of_coast() -> Figure:
    figure = new_figure(9.4, 6.6)
    hours = np.linspace(0, 24 * 5, 1500)
    kinds = (
        ("Two equal tides a day", DEEP, (("M2", 1.0, 0), ("S2", 0.3, 0.5), ("K1", 0.06, 0))),
        (
            "Mixed: a tall one and a dwarf",
            WEED,
            (("M2", 0.6, 0), ("S2", 0.15, 0.5), ("K1", 0.42, 0.9), ("O1", 0.25, 0.2)),
        ),
        ("One tide a day", CORAL, (("M2", 0.06, 0), ("K1", 0.65, 0.4), ("O1", 0.5, 0.1))),
    )
    for row, (title, colour, parts) in enumerate(kinds):
        axes = plain(figure.add_axes((0.06, 0.71 - row * 0.305, 0.92, 0.215)))
        wave = sum(a * np.cos(2 * np.pi * hours / PERIOD_H[n] - p) for n, a, p in parts)
        axes.fill_between(hours / 24, wave, -1.6, color=colour, alpha=0.16, lw=0)
        axes.plot(hours / 24, wave, color=colour, lw=2.2)
        axes.set(xlim=(0, 5), ylim=(-1.6, 1.5), yticks=[])
        axes.set_title(title, loc="left", size=13.5, color=INK)
        axes.spines["left"].set_visible(False)
    axes.set_xlabel("days")
    return figure


def tide_machine() -> Figure:
    figure = new_figure(10, 6.4)
    axes = bare(figure, -0.6, 12.4, -2.3, 6.0)
    axes.add_patch(Rectangle((-0.3, 5.25), 12.4, 0.35, facecolor="#8a6f45", edgecolor=INK, lw=1.2))
    axes.add_patch(Rectangle((-0.3, 0.0), 12.4, 0.22, facecolor="#8a6f45", edgecolor=INK, lw=1.2))
    wheels = [(1.2, 0.62, 0.7), (3.0, 0.36, 2.4), (4.8, 0.26, 4.1), (6.6, 0.44, 5.4), (8.4, 0.2, 1.6)]
    wire: list[tuple[float, float]] = [(0.2, 0.22)]
    brass = "#d6a84b"
    for k, (x, throw, turn) in enumerate(wheels):
        centre = 3.9 if k % 2 == 0 else 2.0
        y = centre + throw * np.sin(turn)
        axes.add_patch(Circle((x, centre), 0.78, facecolor="#efe3c2", edgecolor=INK, lw=1.2))
        for spoke in np.linspace(0, 2 * np.pi, 8, endpoint=False):
            axes.plot(
                [x, x + 0.76 * np.cos(spoke + turn)],
                [centre, centre + 0.76 * np.sin(spoke + turn)],
                color="#b99a5a",
                lw=1.6,
            )
        axes.add_patch(Circle((x, y), 0.42, facecolor=brass, edgecolor=INK, lw=1.3, zorder=4))
        axes.add_patch(Circle((x, y), 0.07, facecolor=INK, zorder=5))
        side = np.linspace(np.pi, 0, 30) if k % 2 == 0 else np.linspace(np.pi, 2 * np.pi, 30)
        wire += [(x + 0.42 * np.cos(a), y + 0.42 * np.sin(a)) for a in side]
        axes.text(
            x, 5.42, ("M2", "S2", "N2", "K1", "O1")[k], ha="center", va="center", size=12, color="white", weight="bold"
        )
    wire += [(8.82 + 0.0, 3.0), (9.5, 4.55)]
    wire = [
        *wire[:-2],
        *[(9.9 + 0.34 * np.cos(a), 4.5 + 0.34 * np.sin(a)) for a in np.linspace(np.pi, 0, 20)],
        (10.24, 1.5),
    ]
    axes.add_patch(Circle((9.9, 4.5), 0.34, facecolor=brass, edgecolor=INK, lw=1.3))
    axes.plot(*zip(*wire, strict=True), color=CORAL, lw=2.2, zorder=6, solid_joinstyle="round")
    axes.add_patch(Rectangle((10.02, 0.95), 0.44, 0.55, facecolor=INK))
    axes.add_patch(Rectangle((4.2, -2.1), 7.9, 1.75, facecolor="#fbf7ea", edgecolor=INK, lw=1.2))
    time = np.linspace(0, 1, 600)
    curve = sum(t * np.sin(2 * np.pi * f * time + p) for t, f, p in ((0.42, 9, 0.7), (0.2, 9.6, 2.4), (0.12, 4.7, 5.4)))
    axes.plot(4.3 + 5.94 * time, -1.22 + curve, color=DEEP, lw=1.6)
    axes.plot([10.24, 10.24], [0.95, -1.22 + curve[-1]], color=INK, lw=2.0)
    axes.text(
        0.0,
        -0.75,
        "The wire is fixed at the left.\nEach wheel lifts its pulley;\nthe pen draws the sum.",
        size=12.5,
        color=INK,
        va="top",
    )
    return figure


def estuary() -> Figure:
    figure = new_figure(10.6, 5.8)
    size = 620
    x, y = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size))
    noise = np.random.default_rng(11)
    rough = sum(
        w * _unit(gaussian_filter(noise.standard_normal((size, size)), s))
        for w, s in ((1.0, 46), (0.45, 18), (0.12, 6))
    )
    middle = 0.5 + 0.13 * np.sin(4.6 * y + 0.5) * (0.35 + y) + 0.03 * np.sin(17 * y)
    width = 0.06 + 0.34 * (1 - y) ** 1.6
    bank = np.abs(x - middle) / width
    land = 9.0 * (np.clip(bank, 0.25, 1.7) - 0.86) + 2.1 * rough
    creeks = np.abs(_unit(gaussian_filter(noise.standard_normal((size, size)), 15)))
    land -= 1.5 * np.exp(-((creeks / 0.11) ** 2)) * (bank < 1.05)
    channel = np.abs(x - middle - 0.025 * np.sin(23 * y)) / (0.012 + 0.05 * (1 - y) ** 2)
    land -= 6.0 * np.exp(-(channel**2))
    relief = LinearSegmentedColormap.from_list(
        "shore", [(0, "#b39a6b"), (0.26, "#d9c08d"), (0.42, "#e7dcae"), (0.52, "#9db37a"), (1, "#6d8a57")]
    )
    light = LightSource(azdeg=315, altdeg=42)
    for column, (level, title) in enumerate(((-2.6, "Low water"), (1.1, "High water, six hours later"))):
        axes = figure.add_axes((0.012 + column * 0.494, 0.02, 0.482, 0.89))
        shaded = light.shade(
            gaussian_filter(land, 1.2), cmap=relief, vmin=-5, vmax=9, vert_exag=4.5, blend_mode="soft"
        )[..., :3]
        depth = np.clip((level - land) / 5, 0, 1)[..., None]
        water = (1 - depth) * np.array([0.56, 0.78, 0.84]) + depth * np.array([0.07, 0.36, 0.47])
        wet = gaussian_filter((land < level).astype(float), 0.8)[..., None]
        axes.imshow(
            shaded * (1 - wet) + water * wet,
            origin="lower",
            extent=(0, 1, 0, 1),
            aspect="auto",
            interpolation="bilinear",
        )
        axes.contour(x, y, land, levels=[level], colors=[DEEP], linewidths=0.7)
        axes.set(xticks=[], yticks=[])
        axes.set_title(title, loc="left", size=14, color=INK)
    axes.plot([0.06, 0.26], [0.05, 0.05], color=INK, lw=3)
    axes.text(0.06, 0.068, "1 km", size=11, color=INK)
    return figure


def _unit(field: np.ndarray) -> np.ndarray:
    return (field - field.mean()) / field.std()


def shore_stripes() -> Figure:
    figure = new_figure(8, 7.6)
    axes = bare(figure, 0, 10, 0, 9.5)
    x = np.linspace(0, 10, 400)
    rock = 0.4 + 0.088 * x**2 + 0.16 * np.sin(2.3 * x) + 0.09 * np.sin(6.1 * x)
    bands = (
        (0, 1.5, "#7c5a2d", "kelps: dry only at the lowest springs"),
        (1.5, 3.4, "#8a8a3b", "brown wracks"),
        (3.4, 5.1, "#e9e4d6", "acorn barnacles"),
        (5.1, 6.3, "#9a8f7f", "small periwinkles"),
        (6.3, 7.4, "#33312e", "black lichen: spray only"),
        (7.4, 9.6, "#c9a94f", "yellow lichen and land plants"),
    )
    axes.fill_between([0, 10], 2.45, 0, color=SHOAL, lw=0)
    dots = np.random.default_rng(5)
    for low, high, colour, name in bands:
        inside = (rock >= low - 0.05) & (rock <= high + 0.05)
        axes.fill_between(x, rock, 0, where=inside, color="#a39c8e", lw=0)
        axes.plot(np.where(inside, x, np.nan), rock + 0.05, color=colour, lw=13, solid_capstyle="butt", zorder=3)
        for spot in dots.uniform(0, 1, 26):
            at = x[inside][int(spot * (inside.sum() - 1))] if inside.any() else 0
            axes.plot(
                at,
                np.interp(at, x, rock) + 0.05 + dots.uniform(-0.08, 0.08),
                "o",
                ms=2.4,
                color=INK,
                alpha=0.35,
                zorder=4,
            )
        middle = (low + min(high, 8.9)) / 2
        axes.plot([0.35, 0.35], [low + 0.06, min(high, 8.9) - 0.06], color=colour, lw=9, solid_capstyle="butt")
        box = {"facecolor": "white", "alpha": 0.72, "edgecolor": "none", "pad": 2.5}
        axes.text(0.65, middle, name, va="center", size=12.5, color=INK, zorder=6, bbox=box)
    for level, name in ((6.25, "high water, springs"), (2.45, "low water, neaps"), (1.45, "low water, springs")):
        axes.plot([4.6, 9.9], [level, level], color=DEEP, lw=1.1, ls=(0, (6, 4)), zorder=5)
        axes.text(4.6, level + 0.1, name, ha="left", size=10.5, color=DEEP, zorder=6)
    return figure


def tide_staff() -> Figure:
    figure = new_figure(5.2, 6.4)
    axes = bare(figure, 0, 5.2, 0.6, 7.0)
    axes.add_patch(Rectangle((0, 0.6), 5.2, 6.4, facecolor="#c4bcaa"))
    stones = np.random.default_rng(9)
    for row in range(13):
        for col in range(-1, 6):
            grey = 0.66 + 0.12 * stones.random()
            axes.add_patch(
                Rectangle(
                    (col + (row % 2) * 0.5 + 0.02, row * 0.5 + 0.62),
                    0.95,
                    0.45,
                    facecolor=(grey, grey * 0.97, grey * 0.9),
                )
            )
    axes.add_patch(Rectangle((0, 0.6), 5.2, 4.6, facecolor=WEED, alpha=0.38))
    axes.add_patch(Rectangle((1.9, 0.6), 1.3, 6.2, facecolor="white", edgecolor=INK, lw=1.4))
    for tenth in range(31):
        y = 0.9 + tenth * 0.19
        if tenth % 2 == 0:
            axes.add_patch(Rectangle((1.9 if (tenth // 10) % 2 else 2.55, y), 0.65, 0.19, facecolor=INK))
        if tenth % 10 == 0:
            axes.text(3.36, y, f"{tenth // 10} m", size=17, color=INK, weight="bold", va="center")
    surface = 0.9 + 23 * 0.19
    x = np.linspace(0, 5.2, 200)
    for k, shade in enumerate((SHOAL, SEA, DEEP)):
        axes.fill_between(
            x, surface - 0.5 * k + 0.05 * np.sin(7 * x + 2 * k), 0.6, color=shade, alpha=0.4, lw=0, zorder=3
        )
    return figure


def knights_tour() -> Figure:
    figure = new_figure(6.4, 6.4)
    axes = bare(figure, -0.6, 8.6, -0.6, 8.6)
    for row in range(8):
        for col in range(8):
            axes.add_patch(Rectangle((col, row), 1, 1, facecolor="#efe6d2" if (row + col) % 2 else "#b58b5b"))
    path = _warnsdorff((0, 0))
    xs, ys = zip(*((c + 0.5, r + 0.5) for c, r in path), strict=True)
    axes.plot(xs, ys, color="#4c2a5a", lw=2, marker="o", ms=5)
    axes.plot(xs[0], ys[0], "s", ms=12, color=CORAL)
    return figure


def _warnsdorff(start: tuple[int, int]) -> list[tuple[int, int]]:
    """A knight's tour: always on to the free square with the fewest ways out."""
    moves = ((1, 2), (2, 1), (2, -1), (1, -2), (-1, -2), (-2, -1), (-2, 1), (-1, 2))

    def ways(square: tuple[int, int], used: set[tuple[int, int]]) -> list[tuple[int, int]]:
        there = ((square[0] + a, square[1] + b) for a, b in moves)
        return [s for s in there if 0 <= s[0] < 8 and 0 <= s[1] < 8 and s not in used]

    path, used = [start], {start}
    while options := ways(path[-1], used):
        path.append(min(options, key=lambda s: (len(ways(s, used)), s)))
        used.add(path[-1])
    return path


def sunflower() -> Figure:
    figure = new_figure(6.6, 6.6)
    axes = bare(figure, -34, 34, -34, 34)
    figure.set_facecolor("#f7efd8")
    k = np.arange(1, 900)
    angle, radius = k * np.pi * (3 - np.sqrt(5)), np.sqrt(k)
    axes.scatter(radius * np.cos(angle), radius * np.sin(angle), s=5 + k / 22, c=k, cmap="copper", lw=0)
    for petal in np.arange(0, 360, 360 / 34):
        turn = np.radians(petal)
        axes.add_patch(
            Ellipse(
                (31 * np.cos(turn), 31 * np.sin(turn)),
                9,
                3.8,
                angle=petal,
                facecolor=SUN,
                edgecolor="#c98a12",
                zorder=0,
            )
        )
    return figure


def tram_map() -> Figure:
    figure = new_figure(8.6, 5.6)
    axes = bare(figure, 0, 17.2, 0, 11.2)
    lines = (
        ("#b3282d", [(1, 2), (4, 2), (7, 5), (11, 5), (14, 8), (16, 8)]),
        ("#1f6f43", [(1, 9), (5, 9), (7, 7), (7, 5), (7, 1)]),
        ("#23408e", [(2, 5), (7, 5), (9, 7), (9, 10), (13, 10)]),
        ("#d08a16", [(11, 5), (14, 2), (16, 2)]),
    )
    for colour, points in lines:
        axes.plot(*zip(*points, strict=True), color=colour, lw=8, solid_joinstyle="round", solid_capstyle="round")
        for (x0, y0), (x1, y1) in pairwise(points):
            axes.plot([(x0 + x1) / 2], [(y0 + y1) / 2], "o", ms=7, mfc="white", mec=colour, mew=2)
    for x, y in ((7, 5), (11, 5)):
        axes.plot(x, y, "o", ms=17, mfc="white", mec=INK, mew=3)
    for x, y, name in (
        (7.4, 4.0, "Market"),
        (11.1, 4.1, "Station"),
        (1.0, 1.0, "Mill Lane"),
        (13.3, 8.7, "Hospital"),
        (9.4, 9.0, "Library"),
        (14.2, 2.7, "Stadium"),
    ):
        axes.text(x, y, name, size=13, color=INK)
    return figure


def loaf_in_the_oven() -> Figure:
    figure = new_figure(8.4, 5)
    axes = plain(figure.add_axes((0.1, 0.15, 0.87, 0.81)))
    minutes = np.linspace(0, 45, 300)
    axes.plot(minutes, 235 - 211 * np.exp(-minutes / 11), color=CORAL, lw=2.6, label="crust")
    axes.plot(
        minutes, np.minimum(98, 24 + 76 / (1 + np.exp(-(minutes - 17) / 4.2))), color="#8a6f45", lw=2.6, label="crumb"
    )
    axes.axhspan(94, 99, color=SAND, alpha=0.4, lw=0)
    axes.text(1, 102, "done", size=12, color=INK)
    axes.set(xlim=(0, 45), ylim=(0, 245), xlabel="minutes in the oven", ylabel="temperature of the loaf in °C")
    axes.legend(frameon=False, fontsize=12)
    return figure


# Path under the demo's folder → what draws it. The last four are strangers.
PICTURES: dict[str, Callable[[], Figure]] = {
    "pictures/tide-raising-force.png": tide_raising_force,
    "pictures/springs-and-neaps.png": springs_and_neaps,
    "pictures/month-of-tides.png": month_of_tides,
    "pictures/amphidromes.jpg": amphidromes,
    "pictures/resonance.png": resonance,
    "pictures/chart-levels.png": chart_levels,
    "pictures/rule-of-twelfths.png": rule_of_twelfths,
    "pictures/stream-and-height.png": stream_and_height,
    "pictures/constituents.png": constituents,
    "pictures/kinds-of-coast.png": kinds_of_coast,
    "pictures/tide-machine.png": tide_machine,
    "pictures/estuary.jpg": estuary,
    "pictures/shore-stripes.png": shore_stripes,
    "notes/figures/tide-staff.png": tide_staff,
    "pictures/knights-tour.png": knights_tour,
    "pictures/sunflower.jpg": sunflower,
    "pictures/tram-map.png": tram_map,
    "pictures/loaf-in-the-oven.png": loaf_in_the_oven,
}


def save(figure: Figure, path: Path) -> None:
    """Small files: 64 colours are plenty for a drawing; maps and the flower are JPEG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor=figure.get_facecolor())
    plt.close(figure)
    image = Image.open(buffer).convert("RGB")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jpg":
        image.save(path, quality=80, optimize=True, progressive=True)
    else:
        image.quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)


def main(folder: Path) -> None:
    """Draw every picture into the folder."""
    matplotlib.rcParams["font.family"] = "DejaVu Sans"  # comes with matplotlib: the same letters everywhere
    for name, draw in PICTURES.items():
        save(draw(), folder / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent / "tides")
