const fs = require("fs");
const http = require("http");
const mustache = require("mustache");

const page = fs.readFileSync("views/page.mustache", "utf8");
const server = http.createServer((request, response) => {
  response.end(mustache.render(page, { env: process.env.NODE_ENV, path: request.url }));
});
server.listen(3000);
process.on("SIGTERM", () => server.close(() => process.exit(0)));
