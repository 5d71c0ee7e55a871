// Messages a second, of the last three minutes.

const SECONDS = 180;
const HEIGHT = 40;
const RECENT = 10;


export function chart(svg, caption) {
    const path = svg.querySelector('path');
    const bins = new Map();
    let ahead = 0;              // the service's clock of ours, in milliseconds

    const now = () => Math.floor((Date.now() + ahead) / 1000);

    function draw() {
        const end = now();
        let most = 0;
        let recent = 0;

        for (const second of bins.keys()) {
            if (second <= end - SECONDS) {
                bins.delete(second);
            }
        }

        for (const [second, n] of bins) {
            most = Math.max(most, n);
            recent += second > end - RECENT ? n : 0;
        }

        path.setAttribute('d', Array.from(bins, ([second, n]) => {
            const x = Math.min(SECONDS - 1, SECONDS - 1 - (end - second));
            const height = Math.max(1, HEIGHT * n / most);

            return `M${x} ${HEIGHT}v${-height}h0.9v${height}z`;
        }).join(''));

        const words = `${(recent / RECENT).toLocaleString()} a second now, `
            + `${most.toLocaleString()} at most, in the last three minutes`;

        if (caption.textContent !== words) {
            caption.textContent = words;
            svg.setAttribute('aria-label', `Messages a second: ${words}`);
        }
    }

    setInterval(() => {
        if (!document.hidden) {
            draw();
        }
    }, 1000);
    draw();

    return {
        // the service's time, as a header has it

        clock(date) {
            const at = Date.parse(date);

            // it is cut to seconds

            if (!Number.isNaN(at) && Math.abs(at - Date.now()) > 2000) {
                ahead = at - Date.now();
            }
        },

        // a message counts when it was stored, which is the last it tells

        add(data) {
            const [, stored] = /"created_at":"([^"]*)"\}$/.exec(data.slice(-60))
                               || [];
            const second = Math.floor(Date.parse(stored) / 1000);

            if (second > now() - SECONDS) {
                bins.set(second, (bins.get(second) || 0) + 1);
            }
        },
    };
}
