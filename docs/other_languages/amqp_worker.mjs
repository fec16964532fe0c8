// A worker for Node.js 18 or later that asks over AMQP. It needs the package amqplib.
//
// AMQP_URL=amqp://user:password@example.com node amqp_worker.mjs
import amqp from "amqplib";
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";

const slots = Number(process.env.FURROW_SLOTS ?? 4);
const wait = 5; // seconds that a claim waits for a job
const patience = 30_000; // milliseconds until a request without an answer is sent again
const name = `${process.env.FURROW_NAME ?? "node"}@${hostname()}`;

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

// --- Requests and answers ----------------------------------------------------------------------------------------------

const asked = new Map(); // who waits for an answer, by correlation id
let link = connect();

async function connect() {
  for (;;) {
    try {
      const connection = await amqp.connect(process.env.AMQP_URL);
      connection.on("error", () => {}); // "close" follows
      const channel = await connection.createChannel();
      channel.on("error", () => connection.close()); // there is no exchange furrow.work yet
      const { queue } = await channel.assertQueue("", { exclusive: true });
      const heard = (message) => message && asked.get(message.properties.correlationId)?.(message);
      await channel.consume(queue, heard, { noAck: true });
      connection.on("close", () => {
        link = sleep(1000).then(connect);
        asked.forEach((again) => again(null));
      });
      return { channel, queue };
    } catch (error) {
      console.log(`RabbitMQ is away: ${error.message}`);
      await sleep(1000);
    }
  }
}

class Refused extends Error {} // the run is over, or the request makes no sense: never send it again

// Ask until there is an answer.
async function ask(type, body) {
  for (;;) {
    const { channel, queue } = await link;
    const correlationId = randomUUID();
    const about = { type, correlationId, replyTo: queue, contentType: "application/json", expiration: patience };
    const answer = await new Promise((resolve) => {
      asked.set(correlationId, resolve);
      setTimeout(resolve, patience, null).unref();
      try {
        channel.publish("furrow.work", "", Buffer.from(JSON.stringify(body)), about);
      } catch {
        setTimeout(resolve, 100, null); // the channel is closed, and a new one will be there
      }
    });
    asked.delete(correlationId);
    if (!answer) continue;
    if (answer.properties.type === "again") {
      await sleep(2000);
      continue;
    }
    const said = JSON.parse(answer.content);
    if (answer.properties.type !== "done") throw new Refused(said.error);
    return said;
  }
}

// --- One run -----------------------------------------------------------------------------------------------------------

const running = new Map(); // by job and attempt, until the end was answered
const key = ({ id, attempt }) => `${id}/${attempt}`;
let worker = null;
let stopping = false;
let asking = false;

async function perform(job) {
  const about = { id: job.id, attempt: job.attempt };
  const abort = new AbortController();
  const run = {
    about,
    signal: abort.signal,
    stop: (outcome) => abort.abort(outcome),
    log: (message, level = "info") => ask("log", { lines: [{ ...about, message, level }] }),
    progress: (fraction, note = "") => ask("progress", { runs: [{ ...about, fraction, note }] }),
  };
  running.set(key(job), run);
  const timer = job.timeout === null ? null : setTimeout(run.stop, job.timeout * 1000, "timed out");
  let end;
  try {
    end = { outcome: "succeeded", result: await handlers[job.kind](job.arguments, run) };
  } catch (error) {
    if (run.signal.aborted) end = { outcome: run.signal.reason };
    else if (error instanceof Refused) end = { outcome: "lost" };
    else end = { outcome: "failed", error: error.message, error_type: error.name, traceback: error.stack };
  }
  clearTimeout(timer);
  const told = end.outcome === "lost" ? null : ask("finish", { runs: [{ ...about, ...end }] });
  await told?.catch((error) => console.log(`refused: ${error.message}`));
  running.delete(key(job));
}

async function beat() {
  if (asking) return; // the last one waits for its answer
  asking = true;
  const runs = [...running.values()].map((run) => run.about);
  const pulse = await ask("heartbeat", { worker, runs }).finally(() => (asking = false));
  for (const about of pulse.cancelled) running.get(key(about))?.stop("cancelled");
  for (const about of pulse.lives ? pulse.lost : runs) running.get(key(about))?.stop("lost");
  if (pulse.stop) shutDown();
}

// --- The loop ----------------------------------------------------------------------------------------------------------

function shutDown() {
  stopping = true; // the claim that waits is answered soon
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
  const answer = await ask("claim", { ...about, worker, limit: slots - running.size, wait });
  worker = answer.worker;
  answer.jobs.forEach(perform);
  beating ??= setInterval(beat, (answer.lease * 1000) / 3);
}
shutDown(); // also what came with the last claim
while (running.size) await sleep(50);
clearInterval(beating);
await ask("leave", { worker });
process.exit();
