// pg-boss on PostgreSQL. Records each job, its state, times and output, and keeps it for a week.
//
// Loses nothing that was committed; a job of a dead worker runs again once it has expired. A worker fetches a batch (BENCH_AT_ONCE), runs
// its jobs one after the other and settles them together, each with a result of its own: by default, one that fails fails its whole batch.
// It listens for new jobs, and goes on at once while batches are full.
"use strict";

const { PgBoss } = require("pg-boss");
const { URL, ask } = require("./database.cjs");

const name = process.env.BENCH_QUEUE;
const boss = new PgBoss({ connectionString: URL, useListenNotify: true });
boss.on("error", console.error);

exports.Peer = class {
  async prepare() {
    await boss.start();
    await boss.createQueue(name, { notify: true });
  }

  async reset() {
    await ask("TRUNCATE pgboss.job");
    await ask("CHECKPOINT");
  }

  async submitOne(work) {
    return boss.send(name, { work });
  }

  async submitMany(n, work) {
    await boss.insert(name, Array.from({ length: n }, () => ({ data: { work } })));
  }

  async recorded(id) {
    return (await ask("SELECT state = 'completed' AS done FROM pgboss.job WHERE id = $1", [id]))[0].done;
  }

  async unrecorded() {
    return Number((await ask("SELECT count(*) FROM pgboss.job WHERE state < 'completed'"))[0].count);
  }

  async work(noop) {
    await boss.start();
    const options = {
      batchSize: Number(process.env.BENCH_AT_ONCE),
      perJobResults: true,
      burstWhenBatchFull: true,
      pollingIntervalSeconds: 0.5,
    };
    await boss.work(name, options, async (jobs) => {
      const results = [];
      for (const { id, data } of jobs) {
        await noop(data.work);
        results.push({ id, status: "completed" });
      }
      return results;
    });
  }
};
