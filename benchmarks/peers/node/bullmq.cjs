// BullMQ on Redis. Records each job, its times and its result, in Redis, for as long as it is told; here all are kept, its default.
//
// Redis writes its append-only file once a second here: a crash of the machine loses the last second. A job of a dead worker is
// found stalled and runs again. An `add` cannot be part of a database transaction.
"use strict";

const { Queue, Worker } = require("bullmq");
const { Redis } = require("ioredis");

const name = process.env.BENCH_QUEUE;
const url = new URL(process.env.BENCH_REDIS_URL);
const connection = { host: url.hostname, port: Number(url.port), password: url.password, db: Number(url.pathname.slice(1)) };

exports.Peer = class {
  async prepare() {
    this.queue = new Queue(name, { connection });
    this.redis = new Redis(connection);
  }

  async reset() {
    await this.redis.flushdb();
  }

  async submitOne(work) {
    return this.queue.add("noop", { work });
  }

  async submitMany(n, work) {
    await this.queue.addBulk(Array.from({ length: n }, () => ({ name: "noop", data: { work } })));
  }

  async recorded(job) {
    return job.isCompleted();
  }

  async unrecorded() {
    const { waiting = 0, wait = 0, active = 0 } = await this.queue.getJobCounts("wait", "active");
    return waiting + wait + active;
  }

  async work(noop) {
    const worker = new Worker(name, async (job) => noop(job.data.work), { connection, concurrency: Number(process.env.BENCH_AT_ONCE) });
    await worker.waitUntilReady();
  }
};
