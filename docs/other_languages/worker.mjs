// A worker for Node.js 18 or later, without packages.
//
// FURROW_URL=https://example.com/api FURROW_TOKEN=fw_… node worker.mjs
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";

const url = process.env.FURROW_URL.replace(/\/$/, "");
const slots = Number(process.env.FURROW_SLOTS ?? 4);
const wait = 5;
const name = `${process.env.FURROW_NAME ?? "node"}@${hostname()}`;

class Stale extends Error {} // 409: the run is over, whatever this worker did. Never send it again.

// Ask until there is an answer; only a refusal is no reason to ask again.
async function post(path, body) {
  const headers = { Authorization: `Bearer ${process.env.FURROW_TOKEN}`, "Content-Type": "application/json" };
  for (;;) {
    let pause = 1;
    try {
      const answer = await fetch(`${url}/work/${path}`, { method: "POST", headers, body: JSON.stringify(body) });
      if (answer.ok) return await answer.json();
      const text = await answer.text();
      if (answer.status === 409) throw new Stale(text);
      if (![429, 500, 502, 503, 504].includes(answer.status)) {
        console.log(`${path} is refused: ${text}`);
        process.exit(1);
      }
      pause = Number(answer.headers.get("Retry-After") ?? 1);
    } catch (error) {
      if (error instanceof Stale) throw error; // all else: the server is away
      if (stopping) process.exit(1);
    }
    await sleep(pause * 1000);
  }
}

// --- Handlers: (arguments, run) → result. run.signal is aborted when the run shall end. ------------------------------

async function countWords({ text, seconds }, run) {
  await run.log(`Counting in Node.js, for ${seconds} s`);
  await sleep(seconds * 1000, null, { signal: run.signal });
  const words = text.split(/\s+/).filter(Boolean);
  if (!words.length) throw new RangeError("there are no words");
  await run.progress(1, "counted");
  return { words: words.length };
}

const handlers = { "words.count": countWords };

// --- One run -----------------------------------------------------------------------------------------------------------

const running = new Map(); // by job and attempt, until the end was answered
const key = ({ id, attempt }) => `${id}/${attempt}`;
let worker = null;
let stopping = false;
let asking = false;

function begin(job) {
  const about = { id: job.id, attempt: job.attempt };
  const abort = new AbortController();
  const run = {
    about,
    signal: abort.signal,
    stop: (outcome) => abort.abort(outcome),
    log: (message, level = "info") => post("log", { lines: [{ ...about, message, level }] }),
    progress: (fraction, note = "") => post("progress", { runs: [{ ...about, fraction, note }] }),
  };
  running.set(key(job), run);
  const timer = job.timeout === null ? null : setTimeout(run.stop, job.timeout * 1000, "timed out");
  perform(job, run).finally(() => {
    clearTimeout(timer);
    running.delete(key(job));
  });
}

async function perform(job, run) {
  let end;
  try {
    end = { outcome: "succeeded", result: await handlers[job.kind](job.arguments, run) };
  } catch (error) {
    if (run.signal.aborted) end = { outcome: run.signal.reason };
    else if (error instanceof Stale) end = { outcome: "lost" };
    else end = { outcome: "failed", error: error.message, error_type: error.name, traceback: error.stack };
  }
  if (end.outcome === "lost") return;
  await post("finish", { runs: [{ ...run.about, ...end }] }).catch((error) => console.log(`refused: ${error.message}`));
}

async function beat() {
  if (asking) return; // the last one waits for its answer
  asking = true;
  const runs = [...running.values()].map((run) => run.about);
  const pulse = await post("heartbeat", { worker, runs }).finally(() => (asking = false));
  for (const about of pulse.cancelled) running.get(key(about))?.stop("cancelled");
  for (const about of pulse.lives ? pulse.lost : runs) running.get(key(about))?.stop("lost");
  if (pulse.stop) shutDown();
}

// --- The loop ----------------------------------------------------------------------------------------------------------

function shutDown() {
  stopping = true; // the claim that waits is answered soon
  setTimeout(() => process.exit(1), 25_000).unref(); // or never: then the lease ends by itself
  running.forEach((run) => run.stop("interrupted"));
}

process.on("SIGTERM", shutDown);
let beating = null;
while (!stopping) {
  if (running.size >= slots) {
    await sleep(50);
    continue;
  }
  const about = { name, kinds: Object.keys(handlers), processes: slots, pid: process.pid, version: `Node.js ${process.version}` };
  const answer = await post("claim", { ...about, worker, limit: slots - running.size, wait });
  worker = answer.worker;
  answer.jobs.forEach(begin);
  beating ??= setInterval(beat, (answer.lease * 1000) / 3);
}
shutDown(); // also what came with the last claim
while (running.size) await sleep(50);
clearInterval(beating);
await post("leave", { worker });
