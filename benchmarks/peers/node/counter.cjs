// As benchmarks/counter.py: each process keeps 8 bytes of a file of its own. Node.js maps no files, so it writes them: a microsecond.
"use strict";

const fs = require("node:fs");
const path = require("node:path");

const folder = process.env.BENCH_COUNTS;
const own = Buffer.alloc(8);
let file;
let counted = 0;

/** One more job has run. */
exports.count = () => {
  file ??= fs.openSync(path.join(folder, String(process.pid)), "w");
  own.writeUInt32LE(++counted);
  fs.writeSync(file, own, 0, 8, 0);
};

/** Jobs that all processes have run. */
exports.total = () => {
  let sum = 0;
  for (const name of fs.readdirSync(folder)) {
    const bytes = fs.readFileSync(path.join(folder, name));
    if (bytes.length === 8) sum += bytes.readUInt32LE();
  }
  return sum;
};
