// A process of a peer on Node.js: its client (as benchmarks/client.py, which says what the orders mean) or one of its workers.
//
// node benchmarks/peers/node/main.cjs client | worker  bullmq | graphile | pg_boss
"use strict";

const readline = require("node:readline");
const { count, total } = require("./counter.cjs");

/** A no-op job: sleep for so many milliseconds, and count. */
async function noop(work) {
  if (work) await new Promise((wake) => setTimeout(wake, work));
  count();
}

/** Stand still for so many milliseconds; a timer of Node's would take a whole one at least. */
const pause = (milliseconds) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);

/** Milliseconds since some moment. */
const now = () => Number(process.hrtime.bigint()) / 1e6;

/** Seconds from submit to recorded of n jobs, one at a time with pauses between. */
async function latency(peer, n) {
  const times = [];
  for (let i = 0; i < n; i++) {
    await new Promise((wake) => setTimeout(wake, 15));
    const before = total();
    const begin = now();
    const job = await peer.submitOne(0);
    while (total() === before) pause(0.3);
    while (!(await peer.recorded(job))) pause(0.5);
    times.push((now() - begin) / 1e3);
  }
  return times;
}

/** One order; answers seconds, or what it asks for. */
async function obey(peer, { do: order, n = 0, work = 0 }) {
  const begin = now();
  if (order === "latency") return latency(peer, n);
  if (order === "unrecorded") return peer.unrecorded();
  if (order === "reset") await peer.reset();
  else if (order === "submit_one") for (let i = 0; i < n; i++) await peer.submitOne(work);
  else if (order === "submit_bulk") for (let i = 0; i < n; i += 500) await peer.submitMany(Math.min(500, n - i), work);
  else if (order === "prepare") {
    await peer.prepare();
    await peer.reset();
    await peer.submitMany(20, 0);
    for (let i = 0; i < 20; i++) await peer.submitOne(0);
  } else if (order !== "load") throw new Error(order);
  return (now() - begin) / 1e3;
}

async function main(role, name) {
  const { Peer } = require(`./${name}.cjs`);
  const peer = new Peer();
  if (role === "worker") {
    await peer.work(noop);
    console.log("ready");
    return;
  }
  const answer = (said) => process.stdout.write(JSON.stringify(said) + "\n");
  console.log = console.error; // what the peer prints goes to the log
  answer({ ready: true });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    answer({ answer: await obey(peer, JSON.parse(line)) });
  }
  process.exit(0);
}

main(...process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
