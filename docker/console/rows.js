// A message in a list: one line, which opens to all of it.

import { query, text, trouble } from './api.js';
import { beginning, element, pretty, shown, time } from './text.js';

export const FIELDS = 'message_id,from,to,ts,text,type,created_at';

const PREVIEW = 280;

let number = 0;


const brief = (what, most) => shown(beginning(what, most), 'bdi', 40);


async function copy(what) {
    if (navigator.clipboard) {
        await navigator.clipboard.writeText(what);
        return;
    }

    // pages of http on other machines have no clipboard but by a selection

    const area = element('textarea', { value: what, readOnly: true });

    document.body.append(area);
    area.select();

    const done = document.execCommand('copy');

    area.remove();

    if (!done) {
        throw new Error('copy');
    }
}


function copier(what, label) {
    const said = element('span', { role: 'status' });
    const button = element('button', { type: 'button' }, label);

    button.addEventListener('click', async () => {
        try {
            await copy(what);
            said.textContent = ' Copied.';
        } catch {
            said.textContent = ' The browser did not let this page copy.';
        }

        button.focus();
    });

    return element('p', {}, button, said);
}


function fact(name, value) {
    return [element('dt', {}, name), element('dd', {}, value)];
}


function facts(item) {
    const href = `#search?${query({ from: item.from })}`;
    const sender = element('a', { href }, shown(item.from));
    const list = element('dl', {}, ...fact('Id', shown(item.message_id)),
                         ...fact('From', sender),
                         ...fact('To', shown(item.to)),
                         ...fact('Time', time(item.ts)),
                         ...fact('Time as sent', shown(item.ts)));

    if (item.created_at) {
        list.append(...fact('Stored', time(item.created_at)));
    }

    list.append(...fact('Type', item.type === null ? 'none' : shown(item.type)),
                ...fact('Text', item.text === null ? 'none'
                    : shown(item.text, 'div')));
    list.lastChild.className = 'text';

    return list;
}


// the JSON that came, without a parser in between: it is the only member

async function load(panel, item) {
    const rest = panel.querySelector('.raw');

    trouble(panel);
    rest.replaceChildren('Loading…');

    try {
        const [body] = await text(`../messages?${query({
            id: item.message_id, fields: 'raw' })}`);
        const begin = '{"data":[{"raw":';
        const end = body.lastIndexOf('}],"total":');
        const raw = body.startsWith(begin) ? body.slice(begin.length, end) : '';

        if (raw === '') {
            rest.replaceChildren('It has left the store.');
        } else if (raw === 'null') {
            rest.replaceChildren('It came in the service\'s own form, without '
                                 + 'more than this.',
                                 copier(JSON.stringify(item, null, 2),
                                        'Copy as JSON'));
        } else {
            const lines = pretty(raw);

            rest.replaceChildren(
                element('h4', {}, 'As it came'),
                element('pre', { tabIndex: 0, role: 'group',
                                 'aria-label': 'JSON as it came' },
                        shown(lines, 'code')),
                copier(lines, 'Copy JSON'));
        }
    } catch (failure) {
        rest.replaceChildren();
        trouble(panel, failure, () => load(panel, item));
    }
}


function open(button, panel, item) {
    const opens = panel.hidden;

    panel.hidden = !opens;
    button.setAttribute('aria-expanded', String(opens));

    if (opens && panel.childElementCount === 0) {
        panel.append(facts(item), element('div', { className: 'trouble',
                                                   role: 'alert' }),
                     element('div', { className: 'raw' }));
        load(panel, item);
    }
}


export function row(item) {
    const panel = element('div', { className: 'all', hidden: true,
                                   id: `message-${++number}` });
    const button = element('button', { type: 'button', className: 'line',
                                       'aria-expanded': 'false',
                                       'aria-controls': panel.id });
    const part = (name, ...what) =>
        element('span', { className: name }, ...what);

    button.append(part('when', time(item.ts)),
                  ' ', part('who', brief(item.from, 80), ' → ',
                            brief(item.to, 80)),
                  ' ', part('what', ...(item.type === null ? []
                            : [part('type', brief(item.type, 40)),
                               ' ']),
                            item.text === null ? part('none', 'no text')
                                : brief(item.text, PREVIEW)));
    button.dataset.id = item.message_id;
    button.addEventListener('click', () => open(button, panel, item));

    return element('li', {}, button, panel);
}


// the arrows go from line to line

export function arrows(list) {
    list.addEventListener('keydown', (event) => {
        const step = { ArrowDown: 'nextElementSibling',
                       ArrowUp: 'previousElementSibling' }[event.key];
        const line = event.target.closest('.line');
        const to = step && line && line.parentElement[step];

        if (to) {
            event.preventDefault();
            to.querySelector('.line').focus();
        }
    });
}


