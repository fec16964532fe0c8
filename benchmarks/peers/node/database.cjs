// One connection to the peer's database, to empty its tables and to ask them.
"use strict";

const { Client } = require("pg");

exports.URL = process.env.BENCH_DATABASE_URL;

let link;

/** The rows that a query answers. */
exports.ask = async (query, values = []) => {
  if (!link) {
    link = new Client({ connectionString: exports.URL });
    await link.connect();
  }
  return (await link.query(query, values)).rows;
};
