# SPDX-License-Identifier: Apache-2.0
"""A plot of all outcomes as one SVG file: a panel for each scenario, a bar for each system.  By hand: it needs no library,
and the file reads well in a browser, light or dark."""
from xml.sax.saxutils import escape

WIDTH, PANEL_GAP, MARGIN = 1000, 34, 36
LABEL_WIDTH, VALUE_WIDTH = 250, 150
BAR, BAR_GAP = 20, 9
HEAD, FOOT = 46, 8
CLIP = 6.0      # a bar longer than so many times our longest is cut, and says so

# Plain colours, since small renderers know no variables; a browser in the dark takes the second half.
STYLE = """
  text { font-family: Inter, "Segoe UI", "Helvetica Neue", Arial, sans-serif; font-size: 13px; fill: #1c2430; }
  .title { font-size: 22px; font-weight: 700; } .panel { font-size: 15px; font-weight: 600; } .bold { font-weight: 700; }
  .soft { fill: #6b7686; font-size: 12px; } .paper { fill: #ffffff; } .ours { fill: #0b7a75; } .peer { fill: #b9c3d0; }
  .over { fill: #c2410c; } .rule { stroke: #e3e7ee; } .range { stroke: #1c2430; stroke-opacity: 0.45; stroke-width: 1.5; }
  .mark { stroke: #1c2430; stroke-opacity: 0.55; stroke-dasharray: 3 3; } .goal { stroke: #1c2430; stroke-width: 2; }
  .limit { stroke: #c2410c; stroke-width: 2; stroke-dasharray: 4 2; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e8edf4; } .soft { fill: #93a0b2; } .paper { fill: #12161c; } .ours { fill: #2dbdb4; }
    .peer { fill: #4a5666; } .over { fill: #fb8a4c; } .rule { stroke: #29303a; } .range { stroke: #e8edf4; }
    .mark { stroke: #e8edf4; } .goal { stroke: #e8edf4; } .limit { stroke: #fb8a4c; } }
"""


def text(x, y, words, kind="", anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def line(x1, y1, x2, y2, kind):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def number(outcome, value):
    return f"{value:,.{outcome.precision}f}"


def scale_of(outcome):
    """The value at the right end of the bars."""
    ours = [row.value for row in outcome.rows if row.is_ours] or [1]
    marks = [value for row in outcome.rows for value in (row.goal, row.limit) if value]
    if outcome.mark:
        marks.append(outcome.mark[0])
    longest = max([row.value for row in outcome.rows] + marks)
    return min(longest, CLIP * max(ours + marks)) or 1


def bar(outcome, row, y, scale):
    left, room = MARGIN + LABEL_WIDTH, WIDTH - 2 * MARGIN - LABEL_WIDTH - VALUE_WIDTH
    length = max(min(row.value / scale, 1.0), 0) * room
    kind = "over" if row.verdict == "over" else "ours" if row.is_ours else "peer"
    middle = y + BAR / 2
    parts = [text(left - 12, middle + 4.5, row.title, "bold" if row.is_ours else "", "end"),
             f'<rect x="{left}" y="{y}" width="{max(length, 1.5):.1f}" height="{BAR}" rx="3" class="{kind}"/>']
    if row.value > scale:
        parts.append(f'<path d="M {left + room - 14} {y - 2} l 6 {BAR + 4} h 4 l -6 -{BAR + 4} z" class="paper"/>')
    if row.low is not None and row.high <= scale:
        parts.append(line(left + max(row.low, 0) / scale * room, middle, left + max(row.high, 0) / scale * room, middle,
                          "range"))
    for value, mark in ((row.goal, "goal"), (row.limit, "limit")):
        if value:
            x = left + value / scale * room
            parts.append(line(x, y - 3, x, y + BAR + 3, mark))
    parts.append(text(left + room + 14, middle + 4.5, number(outcome, row.value),
                      "value bold" if row.is_ours else "value"))
    if row.goal is not None:
        parts.append(text(left + room + 70, middle + 4.5, f"goal {number(outcome, row.goal)}", "soft"))
    return parts


def panel_height(outcome):
    return HEAD + len(outcome.rows) * (BAR + BAR_GAP) + FOOT


def panel(outcome, top):
    left, room = MARGIN + LABEL_WIDTH, WIDTH - 2 * MARGIN - LABEL_WIDTH - VALUE_WIDTH
    scale = scale_of(outcome)
    parts = [line(MARGIN, top, WIDTH - MARGIN, top, "rule"), text(MARGIN, top + 24, outcome.title, "panel"),
             text(WIDTH - MARGIN, top + 24, outcome.unit, "soft", "end")]
    y = top + HEAD
    if outcome.mark:
        x = left + outcome.mark[0] / scale * room
        parts.append(line(x, y - 6, x, y + len(outcome.rows) * (BAR + BAR_GAP), "mark"))
    for row in outcome.rows:
        parts.extend(bar(outcome, row, y, scale))
        y += BAR + BAR_GAP
    return parts


def svg(outcomes, machine):
    outcomes = [outcome for outcome in outcomes if outcome.rows]
    top = MARGIN + 62
    height = top + sum(panel_height(outcome) + PANEL_GAP for outcome in outcomes)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
             f"<style>{STYLE}</style>", f'<rect width="{WIDTH}" height="{height}" class="paper"/>',
             text(MARGIN, MARGIN + 12, "meltguard and what it replaces", "title"),
             text(MARGIN, MARGIN + 34, "Shorter is better.  A whole tick is a goal, a broken one the limit; the thin line in a "
                  "bar spans the middle half of all rounds.", "soft"),
             text(MARGIN, MARGIN + 52, machine, "soft")]
    for outcome in outcomes:
        parts.extend(panel(outcome, top))
        top += panel_height(outcome) + PANEL_GAP
    return "\n".join(parts + ["</svg>"]) + "\n"
