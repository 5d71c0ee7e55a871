// How many there are, of whom, and if the service can store.

import { json, query, refused, trouble } from './api.js';
import { beginning, element, shown, time } from './text.js';

const EVERY = 10000;
const SVG = 'http://www.w3.org/2000/svg';

const section = document.getElementById('numbers');
const totals = document.getElementById('totals');
const senders = document.getElementById('senders');
const ready = document.getElementById('ready');

let timer;


function bar(share) {
    const svg = document.createElementNS(SVG, 'svg');
    const rect = document.createElementNS(SVG, 'rect');

    svg.setAttribute('aria-hidden', 'true');
    svg.setAttribute('class', 'bar-of');
    rect.setAttribute('width', `${Math.max(0.5, 100 * share)}%`);
    rect.setAttribute('height', '100%');
    svg.append(rect);

    return svg;
}


function draw(stats) {
    const facts = [
        ['Messages', stats.total_messages.toLocaleString()],
        ['Senders', stats.senders_count.toLocaleString()],
        ['First', stats.first_message_ts && time(stats.first_message_ts)],
        ['Last', stats.last_message_ts && time(stats.last_message_ts)],
    ];
    const list = stats.messages_per_sender;

    totals.replaceChildren(...facts.map(([name, value]) =>
        element('div', {}, element('dt', {}, name),
                element('dd', {}, value || 'none'))));
    senders.replaceChildren(...list.map(({ from, count }) =>
        element('li', {},
                element('a', { href: `#search?${query({ from })}` },
                        shown(beginning(from, 80))),
                ' ', element('span', { className: 'n' },
                             count.toLocaleString()),
                bar(count / list[0].count))));
}


// why it is not ready is in the body of a 503

async function readiness() {
    const answer = await fetch('../health/ready', { cache: 'no-store' });
    const { detail } = await answer.json();

    return answer.ok ? 'Ready: it can store messages.'
        : `Not ready: ${detail || `it answered ${answer.status}`}.`;
}


async function refresh() {
    clearTimeout(timer);

    const said = await readiness().catch(
        () => 'Not known to be ready: it cannot be reached.');

    if (ready.textContent !== said) {
        ready.replaceChildren(shown(said));
    }

    ready.classList.toggle('bad', said.startsWith('Not'));

    try {
        const [stats] = await json('../stats');

        draw(stats);
        trouble(section);
    } catch (failure) {
        trouble(section, failure, refresh);
    }

    clearTimeout(timer);

    if (!section.hidden && !document.hidden) {
        timer = setTimeout(refresh, EVERY);
    }
}


function visible() {
    if (!section.hidden && !document.hidden) {
        refresh();
    }
}


document.getElementById('refresh').addEventListener('click', refresh);
document.addEventListener('visibilitychange', visible);
refused.addEventListener('again', visible);

export const numbers = { section, show: refresh,
                         hide() { clearTimeout(timer); } };
