// The scenarios of the load tests for those who have k6: k6 run -e URL=http://localhost:8080 -e SHAPE=ramp api.js
// SHAPE steady, ramp, spike or soak; RATE users a second at most (50), each with three requests; SECONDS (60; soak: 1800);
// KEY a key that may read. Not run by the project's own tests, which only check its types: k6 is under the AGPL.
import http from "k6/http";
import { check } from "k6";

const url = __ENV.URL || "http://localhost:8080";
const rate = Number(__ENV.RATE || 50);
const shape = __ENV.SHAPE || "steady";
const seconds = Number(__ENV.SECONDS || (shape === "soak" ? 1800 : 60));
/** @type {Record<string, string>} */
const headers = { Accept: "application/json" };
if (__ENV.KEY) headers.Authorization = `Bearer ${__ENV.KEY}`;

/** @param {number} share of the rate @param {number} part of the time */
const stage = (share, part) => ({ target: Math.max(Math.round(rate * share), 1), duration: `${Math.round(seconds * part)}s` });

/** @type {Record<string, { target: number, duration: string }[]>} */
const shapes = {
  steady: [stage(1, 0), stage(1, 1)],
  soak: [stage(1, 0), stage(1, 1)],
  ramp: [stage(1, 1)],
  spike: [stage(0.2, 1 / 3), stage(1, 0), stage(1, 1 / 3), stage(0.2, 0), stage(0.2, 1 / 3)],
};
if (!shapes[shape]) throw new Error(`SHAPE is ${shape}, expected ${Object.keys(shapes).join(", ")}`);

/** @type {import("k6/options").Options} */
export const options = {
  scenarios: {
    users: {
      executor: "ramping-arrival-rate", startRate: 1, timeUnit: "1s", preAllocatedVUs: 50, maxVUs: 500, stages: shapes[shape],
    },
  },
  thresholds: {
    http_req_failed: ["rate<0.001"],
    http_req_duration: ["p(99)<500"],
    dropped_iterations: ["count==0"],
  },
};

export default function () {
  const list = http.get(`${url}/events?limit=20`, { headers, tags: { name: "list" } });
  check(list, { "the list is there": (answer) => answer.status === 200 });
  const events = /** @type {{ id: string }[] | null} */ (list.status === 200 ? list.json() : null);
  if (events && events.length > 0) {
    const event = events[Math.floor(Math.random() * events.length)];
    check(http.get(`${url}/events/${event.id}`, { headers, tags: { name: "by id" } }), { "the event is there": (answer) => answer.status === 200 });
  }
  check(http.get(`${url}/events/all`, { headers, tags: { name: "all" } }), { "the statistics are there": (answer) => answer.status === 200 });
}

/** @param {any} data */
export function handleSummary(data) {
  return { "build/loadtest/k6.json": JSON.stringify(data, null, 1), stdout: `${JSON.stringify(data.metrics.http_req_duration.values)}\n` };
}
