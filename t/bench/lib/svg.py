"""Plots of lines, as SVG."""

import math
from html import escape

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 76, 190, 48, 56

# colours that people who see few colours can tell apart, and lines besides

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00",
           "#444444", "#7a5195")
DASHES = ("", "6 3", "2 3", "8 3 2 3")


def short(value):
    for limit, suffix in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= limit and value % (limit / 10) == 0:
            return "%g%s" % (value / limit, suffix)
    return "%g" % value


class Axis:
    """From values to places, linear or logarithmic."""

    def __init__(self, values, start, end, log):
        self.log, self.start, self.end = log, start, end
        low, high = min(values), max(values)

        if log:
            low, high = (math.floor(math.log10(low)),
                         math.ceil(math.log10(high)))
            high = max(high, low + 1)
            self.ticks = [10.0 ** n for n in range(low, high + 1)]
        else:
            step = 10 ** math.floor(math.log10(high))
            step = next(s for s in (step / 5, step / 2, step)
                        if high / s <= 8)
            low, high = 0, math.ceil(high / step) * step
            self.ticks = [step * n for n in range(int(high / step + 1.5))]

        self.low, self.high = low, high

    def place(self, value):
        if self.log:
            value = math.log10(value)
        part = (value - self.low) / (self.high - self.low)
        return self.start + part * (self.end - self.start)


def text(x, y, words, anchor="middle", more=""):
    return '<text x="%.1f" y="%.1f" text-anchor="%s"%s>%s</text>' % (
        x, y, anchor, more, escape(words))


def line(x1, y1, x2, y2):
    return '<path d="M%.1f %.1fL%.1f %.1f" stroke="#ddd"/>' % (x1, y1, x2, y2)


def plot(title, x_title, y_title, series, x_log=False, y_log=False,
         x_ticks=None):
    """series: pairs of a name and a list of points."""

    points = [p for _, some in series for p in some]
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    x = Axis([p[0] for p in points], LEFT, right, x_log)
    y = Axis([p[1] for p in points], bottom, TOP, y_log)

    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" '
           'font-family="sans-serif" font-size="12" fill="#222">'
           % (WIDTH, HEIGHT),
           '<rect width="100%" height="100%" fill="#fff"/>',
           text(LEFT, 26, title, "start", ' font-size="15"'),
           text((LEFT + right) / 2, HEIGHT - 14, x_title),
           text(18, (TOP + bottom) / 2, y_title, "middle",
                ' transform="rotate(-90 18 %d)"' % ((TOP + bottom) / 2))]

    for tick in x_ticks or x.ticks:
        at = x.place(tick)
        out += [line(at, TOP, at, bottom), text(at, bottom + 18, short(tick))]
    for tick in y.ticks:
        at = y.place(tick)
        out += [line(LEFT, at, right, at),
                text(LEFT - 8, at + 4, short(tick), "end")]

    for n, (name, some) in enumerate(series):
        colour = COLOURS[n % len(COLOURS)]
        dash = DASHES[n // len(COLOURS) % len(DASHES)]
        path = " ".join("%.1f,%.1f" % (x.place(a), y.place(b))
                        for a, b in some)
        style = 'fill="none" stroke="%s" stroke-width="2" ' \
            'stroke-dasharray="%s"' % (colour, dash)
        at = TOP + 14 + 17 * n
        out += ['<polyline points="%s" %s/>' % (path, style),
                '<path d="M%d %dh24" %s/>' % (right + 12, at - 4, style),
                text(right + 42, at, name, "start")]
        if len(some) < 20:
            out += ['<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>'
                    % (x.place(a), y.place(b), colour) for a, b in some]

    return "\n".join(out + ["</svg>", ""])
