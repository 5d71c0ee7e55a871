// What comes in, as it comes: the newest on top.

import { ask, json, query, refused, trouble } from './api.js';
import { chart } from './chart.js';
import { arrows, FIELDS, row } from './rows.js';
import { follow } from './stream.js';

const SHOWN = 1000;         // older ones leave the list, not the store
const BEFORE = 50;          // that were there when the page opened
const NEWS = 10000;

const section = document.getElementById('live');
const list = document.getElementById('live-rows');
const pause = document.getElementById('pause');
const state = document.getElementById('live-state');
const news = document.getElementById('live-news');
const count = document.getElementById('live-count');
const rate = chart(document.getElementById('chart'),
                   document.getElementById('rate'));

let close;                  // the stream's, while there is one
let timer;
let place = '';             // where the next stream goes on
let tries = 0;
let paused = false;
let waiting = [];           // the newest that are not in the list yet
let arrived = 0;            // since they were shown last
let total = 0;
let drawing = false;
let filled = false;
let lost = '';              // what this list cannot have, and why
let told = 0;               // how many a screen reader has heard of


const say = (words) => {
    if (state.textContent !== words) {
        state.textContent = words;
    }
};

const many = (n) => `${n.toLocaleString()} message${n === 1 ? '' : 's'}`;


function tell() {
    count.textContent = paused
        ? `${many(arrived)} came while paused`
        : `${many(total)} came since this page was opened`;
}


function draw() {
    drawing = false;
    tell();

    if (paused || waiting.length === 0) {
        return;
    }

    const rows = waiting.slice(-SHOWN).map((data) => row(JSON.parse(data)))
        .reverse();

    waiting = [];
    arrived = 0;
    list.prepend(...rows);

    while (list.childElementCount > SHOWN) {
        list.lastElementChild.remove();
    }
}


function later() {
    if (!drawing) {
        drawing = true;
        requestAnimationFrame(draw);
    }
}


function message(data) {
    waiting.push(data);

    if (waiting.length >= 2 * SHOWN) {
        waiting = waiting.slice(-SHOWN);
    }

    arrived++;
    total++;
    rate.add(data);
    later();
}


// what was there before the stream began; some of it may have come meanwhile

async function fill() {
    filled = true;

    const [{ data }, answer] = await json(`../messages?${query({
        order: 'desc', limit: BEFORE, fields: FIELDS })}`);
    const known = new Set(waiting.map((one) => JSON.parse(one).message_id));

    for (const line of list.querySelectorAll('.line')) {
        known.add(line.dataset.id);
    }

    rate.clock(answer.headers.get('Date'));
    list.append(...data.filter((item) => !known.has(item.message_id)).map(row));
}


function event(type, data, id) {
    place = id || place;

    if (type === 'message') {
        message(data);
        return;
    }

    if (JSON.parse(data).gap) {
        lost = ' Some messages left the store before they came here.';
        follows();
    }

    if (!filled) {
        fill().catch((failure) => {
            filled = false;
            trouble(section, failure, () => { trouble(section); again(); });
        });
    }
}


function follows() {
    say(`${paused ? 'Paused.' : 'Following.'}${lost}`);
}


function opened() {
    tries = 0;
    follows();
    trouble(section);
}


// a stream does not say why there is none: a HEAD of it does

async function why() {
    try {
        await ask(address(), { method: 'HEAD' });
        say('The stream ended, or there are too many. Another try follows.');
    } catch (failure) {
        if (failure.status === 422) {
            place = '';
            lost = ' The store is another one, or an older copy, so what came '
                   + 'meanwhile may be missing here.';
        } else {
            say('');
            trouble(section, failure, again);
        }

        if (failure.status === 401) {
            return;
        }
    }

    if (!document.hidden && !close) {
        clearTimeout(timer);
        timer = setTimeout(start, Math.min(30, 2 ** tries++) * 500
                                  * (1 + Math.random()));
    }
}


const address = () =>
    `../messages/stream?${query({ fields: FIELDS, after: place })}`;


function stop() {
    clearTimeout(timer);

    if (close) {
        close();
        close = undefined;
    }
}


function start() {
    stop();
    close = follow(address(), {
        event,
        open: opened,
        wait: () => say('The stream was interrupted. The browser tries again.'),
        end: () => { stop(); why(); },
    });
}


function again() {
    tries = 0;
    start();
}


pause.addEventListener('click', () => {
    paused = !paused;
    pause.textContent = paused ? 'Resume' : 'Pause';
    arrived = 0;
    follows();
    later();
});

// a browser has six connections to a service for all of its tabs

document.addEventListener('visibilitychange', () => {
    document.hidden ? stop() : again();
});

// not each message as it comes, since that would never end

setInterval(() => {
    if (!paused && !section.hidden && total !== told) {
        news.textContent = `${many(total - told)} more`;
        told = total;
    }
}, NEWS);

window.addEventListener('pagehide', stop);
refused.addEventListener('again', again);
arrows(list);

export const live = { section, show() {}, hide() {} };

if (!document.hidden) {
    start();
}
