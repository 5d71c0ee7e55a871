// What senders wrote, as text nodes only: nothing of it is ever markup, and
// what would change how the rest looks is shown by its name.

const UNSEEN = new RegExp(
    '[\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f-\\u009f\\u00ad'
    + '\\u061c\\u180e\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f'
    + '\\ufeff\\ufff9-\\ufffb]'
    + '|(?<!\\u{1f3f4}[\\u{e0000}-\\u{e007f}]*)[\\u{e0000}-\\u{e007f}]', 'gu');

const NAMES = {
    0x061c: 'ARABIC LETTER MARK',
    0x200b: 'ZERO WIDTH SPACE',
    0x200e: 'LEFT-TO-RIGHT MARK',
    0x200f: 'RIGHT-TO-LEFT MARK',
    0x202a: 'LEFT-TO-RIGHT EMBEDDING',
    0x202b: 'RIGHT-TO-LEFT EMBEDDING',
    0x202c: 'POP DIRECTIONAL FORMATTING',
    0x202d: 'LEFT-TO-RIGHT OVERRIDE',
    0x202e: 'RIGHT-TO-LEFT OVERRIDE',
    0x2066: 'LEFT-TO-RIGHT ISOLATE',
    0x2067: 'RIGHT-TO-LEFT ISOLATE',
    0x2068: 'FIRST STRONG ISOLATE',
    0x2069: 'POP DIRECTIONAL ISOLATE',
    0xfeff: 'ZERO WIDTH NO-BREAK SPACE',
};

const MARKS = 500;      // more than these are not worth an element each
const INDENTED = 40;    // deeper levels stay at this depth


export function element(name, properties = {}, ...children) {
    const made = document.createElement(name);

    for (const [key, value] of Object.entries(properties)) {
        if (key in made) {
            made[key] = value;
        } else {
            made.setAttribute(key, value);
        }
    }

    made.append(...children);

    return made;
}


function mark(character) {
    const code = character.codePointAt(0);
    const number = `U+${code.toString(16).toUpperCase().padStart(4, '0')}`;

    return [number, `${number} ${NAMES[code] || ''}`.trim()];
}


// an element with the text, in a direction of its own

export function shown(text, name = 'bdi', most = MARKS) {
    const made = element(name, { dir: 'auto' });
    let end = 0;
    let marks = 0;

    for (const found of text.matchAll(UNSEEN)) {
        if (marks++ === most) {
            break;
        }

        const [number, title] = mark(found[0]);

        made.append(text.slice(end, found.index),
                    element('span', { className: 'mark', title }, number));
        end = found.index + found[0].length;
    }

    made.append(text.slice(end).replace(UNSEEN, (c) => `[${mark(c)[0]}]`));

    return made;
}


// the beginning of it

export function beginning(text, most) {
    const points = Array.from(text.slice(0, 2 * most));

    return points.length <= most && text.length <= 2 * most
        ? text : `${points.slice(0, most).join('')}…`;
}


const two = (n) => String(n).padStart(2, '0');

export const day = (at) => [
    String(at.getFullYear()).padStart(4, '0'), two(at.getMonth() + 1),
    two(at.getDate())].join('-');

export const clock = (at) =>
    [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(':');


// an instant in the zone of whoever looks; as it came if it is none

export function time(text) {
    const at = new Date(text);

    if (Number.isNaN(at.getTime())) {
        return shown(text);
    }

    const utc = at.toISOString().replace('T', ' ')
        .replace(/(\.000)?Z$/, ' UTC');

    return element('time', { dateTime: at.toISOString(), title: utc },
                   `${day(at)} ${clock(at)}`);
}


// JSON on lines of its own, otherwise as it came: numbers and repeated names
// would not survive a parser

export function pretty(json) {
    const line = (depth) => `\n${'  '.repeat(Math.min(depth, INDENTED))}`;
    const tokens = json.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/gs)
                   || [];
    const out = [];
    let depth = 0;

    tokens.forEach((token, i) => {
        const opens = token === '{' || token === '[';
        const closes = token === '}' || token === ']';
        const empty = closes && /^[{[]$/.test(tokens[i - 1]);

        depth += opens ? 1 : 0;
        depth -= closes ? 1 : 0;

        if (closes && !empty) {
            out.push(line(depth));
        }

        out.push(token);

        if (token === ':') {
            out.push(' ');
        } else if (token === ',' || opens && !/^[}\]]$/.test(tokens[i + 1])) {
            out.push(line(depth));
        }
    });

    return out.join('');
}
