// The few lines of npm's deprecated "request" that QFPay's sample uses, over Node's own http.
const http = require("http");
const { URL, URLSearchParams } = require("url");

module.exports = function request(options, callback) {
  const target = new URL(options.uri);
  const body = new URLSearchParams(options.form).toString();
  const headers = {
    ...options.headers,
    "Content-Type": "application/x-www-form-urlencoded",
    "Content-Length": Buffer.byteLength(body),
  };
  const sent = http.request(target, { method: options.method, headers }, (response) => {
    const parts = [];
    response.on("data", (part) => parts.push(part));
    response.on("end", () => callback(null, response, Buffer.concat(parts).toString("utf8")));
  });
  sent.on("error", callback);
  sent.end(body);
};
