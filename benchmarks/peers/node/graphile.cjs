// Graphile Worker on PostgreSQL. Deletes each job when it has succeeded: of those it records nothing.
//
// Loses nothing that was committed; a job of a dead worker stays locked for four hours. Set up as its page on performance says:
// 24 jobs at once in each process, completions batched. BENCH_LOCAL_QUEUE: how many jobs a process fetches (and locks) ahead.
"use strict";

const { makeWorkerUtils, run } = require("graphile-worker");
const { URL, ask } = require("./database.cjs");

const concurrentJobs = Number(process.env.BENCH_AT_ONCE);
const ahead = Number(process.env.BENCH_LOCAL_QUEUE);
const preset = {
  worker: {
    connectionString: URL,
    concurrentJobs,
    maxPoolSize: concurrentJobs + 1,
    // With jobs that sleep, as many as the page proposes otherwise: one more than run at once.
    localQueue: { size: ahead > 0 && concurrentJobs === 1 ? 2 : ahead },
    completeJobBatchDelay: 0,
    failJobBatchDelay: 0,
  },
};

exports.Peer = class {
  async prepare() {
    this.utils = await makeWorkerUtils({ connectionString: URL });
    await this.utils.migrate();
  }

  async reset() {
    await ask("TRUNCATE graphile_worker._private_jobs, graphile_worker._private_job_queues");
    await ask("CHECKPOINT");
  }

  async submitOne(work) {
    return (await this.utils.addJob("noop", { work })).id;
  }

  async submitMany(n, work) {
    await this.utils.addJobs(Array.from({ length: n }, () => ({ identifier: "noop", payload: { work } })));
  }

  async recorded(id) {
    return !(await ask("SELECT 1 FROM graphile_worker._private_jobs WHERE id = $1", [id])).length;
  }

  async unrecorded() {
    return Number((await ask("SELECT count(*) FROM graphile_worker._private_jobs"))[0].count);
  }

  async work(noop) {
    await run({ preset, taskList: { noop: ({ work }) => noop(work) } });
  }
};
