// Messages by filters, page by page.  The filters are the address's fragment,
// so that a link has them, and no log.

import { ask, hasToken, json, query, refused, trouble } from './api.js';
import { arrows, FIELDS, row } from './rows.js';
import { clock, day, element } from './text.js';

const LIMIT = 50;
const FILTERS = ['from', 'q', 'since', 'until'];

const section = document.getElementById('search');
const form = document.getElementById('filters');
const list = document.getElementById('search-rows');
const found = document.getElementById('found');
const title = document.getElementById('search-title');
const saving = document.getElementById('download-state');

let state = {};
let control = new AbortController();


function local(text) {
    const at = new Date(text);

    return text === undefined || Number.isNaN(at.getTime()) ? ''
        : `${day(at)}T${clock(at)}`;
}


function instant(name) {
    const { value } = form.elements[name];

    if (value === local(state[name])) {
        return state[name];             // which may be finer than seconds
    }

    const at = new Date(value);

    return Number.isNaN(at.getTime()) ? ''
        : at.toISOString().replace(/\.000Z$/, 'Z');
}


const filters = () => Object.fromEntries(FILTERS.map((name) =>
    [name, state[name]]));

const address = (place) =>
    `#search?${query({ ...filters(), order: state.order, ...place })}`;


function link(id, place) {
    const anchor = document.getElementById(id);

    if (place) {
        anchor.href = address(place);
        anchor.removeAttribute('aria-disabled');
        anchor.removeAttribute('role');
    } else {
        anchor.removeAttribute('href');
        anchor.setAttribute('role', 'link');
        anchor.setAttribute('aria-disabled', 'true');
    }
}


// the cursor of the page that follows, in the order that was asked for

function follows(answer, data) {
    const [, target] = /<([^>]*)>; *rel="next"/.exec(answer.headers.get('Link')
                                                     || '') || [];

    if (target) {
        return new URLSearchParams(target.replace(/^[^?]*\?/, '')).get('after');
    }

    // one that would be too long is left out

    return (state.q || '').length > 600 && data.length === LIMIT
        ? data[LIMIT - 1].cursor : undefined;
}


// data is in the order of the page, next the cursor that Link has

function pages(data, next) {
    const [top, end] = [data[0], data[data.length - 1]];

    if (state.before !== undefined) {
        link('previous', next && { before: next });
        link('next', state.before !== '0' && end && { after: end.cursor });
    } else {
        link('previous', state.after && top && { before: top.cursor });
        link('next', next && { after: next });
    }

    link('first', (state.after || state.before !== undefined) && {});
    link('last', state.before !== '0' && (state.before !== undefined || next)
                 && { before: '0' });
}


// A page before a row is that behind it in the other order, turned around; "0"
// is before all rows in either, so that the page before it is the last one.

async function load(signal) {
    const back = state.before !== undefined;
    const other = state.order === 'asc' ? 'desc' : 'asc';
    const [{ data, total }, answer] = await json(`../messages?${query({
        ...filters(), order: back ? other : state.order, limit: LIMIT,
        after: back ? state.before : state.after, fields: `${FIELDS},cursor`,
    })}`, { signal });

    if (back && state.before !== '0' && data.length < LIMIT
        && !answer.headers.get('Link')) {
        location.replace(address({}));
        return;
    }

    const next = follows(answer, data);

    pages(back ? data.reverse() : data, next);
    list.replaceChildren(...data.map(row));
    found.textContent = total === 0 ? 'No message matches.'
        : `${total.toLocaleString()} ${total === 1 ? 'message matches'
            : 'messages match'}; ${data.length} of them here.`;
}


async function look(turned) {
    control.abort();
    control = new AbortController();

    const { signal } = control;

    trouble(section);
    found.textContent = 'Looking…';
    section.setAttribute('aria-busy', 'true');

    try {
        await load(signal);

        if (turned) {
            title.focus();
        }
    } catch (failure) {
        if (failure.name === 'AbortError') {
            return;
        }

        list.replaceChildren();
        found.textContent = '';
        trouble(section, failure, () => look(turned));
    }

    section.removeAttribute('aria-busy');
}


function downloads() {
    for (const anchor of document.querySelectorAll('#downloads a')) {
        const { format } = anchor.dataset;

        anchor.href = `../messages/export?${query({ format, ...filters(),
                                                    order: state.order })}`;
    }
}


const save = (href, name) => element('a', { href, download: name }).click();


// A link cannot bring a token, so with one the page itself takes the answer: to
// a file, where the browser has such, or else into its memory.

async function download(anchor) {
    const [, name] = /filename="([^"]*)"/.exec((await ask(anchor.href,
        { method: 'HEAD' })).headers.get('Content-Disposition') || '') || [];

    if (!hasToken()) {
        save(anchor.href, '');
        return;
    }

    const file = window.showSaveFilePicker
        && await window.showSaveFilePicker({ suggestedName: name });
    const answer = await ask(anchor.href);

    if (file) {
        await answer.body.pipeTo(await file.createWritable());
        return;
    }

    const url = URL.createObjectURL(await answer.blob());

    save(url, name);
    setTimeout(() => URL.revokeObjectURL(url), 60000);
}


async function fetched(anchor) {
    trouble(section);
    saving.textContent = 'Asking…';

    try {
        await download(anchor);
        saving.textContent = 'Handed to the browser.';
    } catch (failure) {
        saving.textContent = '';

        if (failure.name !== 'AbortError') {
            trouble(section, failure.status === undefined
                    ? new Error('The download was cut off.') : failure,
                        () => fetched(anchor));
        }
    }
}


function show(parameters) {
    const before = state;

    state = { order: 'desc', ...Object.fromEntries(parameters) };
    state.order = state.order || 'desc';

    form.elements.from.value = state.from || '';
    form.elements.q.value = state.q || '';
    form.elements.since.value = local(state.since);
    form.elements.until.value = local(state.until);
    form.elements.order.value = state.order === 'asc' ? 'asc' : 'desc';

    downloads();
    look(before.after !== state.after || before.before !== state.before);
}


function go(parameters) {
    const to = `#search?${query(parameters)}`;

    if (location.hash === to) {
        look(false);
    } else {
        location.hash = to;
    }
}


form.addEventListener('submit', (event) => {
    event.preventDefault();
    go({ from: form.elements.from.value.trim(), q: form.elements.q.value,
         since: instant('since'), until: instant('until'),
         order: form.elements.order.value });
});

document.getElementById('clear').addEventListener('click', () => {
    go({ order: form.elements.order.value });
});

document.getElementById('downloads').addEventListener('click', (event) => {
    const anchor = event.target.closest('a');

    if (anchor) {
        event.preventDefault();
        fetched(anchor);
    }
});

refused.addEventListener('again', () => {
    if (!section.hidden) {
        look(false);
    }
});

arrows(list);

export const lookup = { section, show, hide() { control.abort(); } };
