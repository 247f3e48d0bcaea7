/* The sandbox's stand-in for the bridge that the Alipay app gives a page: AlipayJSBridge.call and my.tradePay. */
(function () {
  "use strict";
  var base = {{ url | tojson }};
  var style = "*{box-sizing:border-box}dialog{border:0;border-radius:1rem 1rem 0 0;padding:1.25rem;width:min(26rem,100%);max-width:100%;margin:auto auto 0;" +
    "font:16px/1.5 system-ui,sans-serif;color:#16202e;background:#fff;text-align:center}dialog::backdrop{background:rgba(0,0,0,.45)}" +
    "p{margin:.25rem 0}.amount{font-size:2rem;font-weight:650}button{display:block;width:100%;padding:.8rem;margin-top:.75rem;font:inherit;" +
    "font-weight:600;border-radius:.7rem;border:1px solid #dde3ec;background:#fff;color:#0b5fd6;cursor:pointer}" +
    "button.pay{background:#0b5fd6;border-color:#0b5fd6;color:#fff}button:focus-visible{outline:3px solid #7db2ff}";

  function add(parent, tag, text, className) {
    var element = document.createElement(tag);
    element.textContent = text;
    if (className) { element.className = className; }
    parent.appendChild(element);
    return element;
  }

  function get(path, method) {
    return fetch(base + path, { method: method }).then(function (answer) { return answer.json(); });
  }

  function sheet(order, tradeNO, done) {
    var host = document.createElement("div");
    var root = host.attachShadow({ mode: "open" });
    add(root, "style", style);
    var dialog = add(root, "dialog", "");
    dialog.setAttribute("aria-label", "Cashier");
    add(dialog, "p", order.merchant);
    add(dialog, "p", order.currency + " " + order.amount, "amount");
    add(dialog, "p", order.subject);
    var pay = add(dialog, "button", "Pay", "pay");
    var cancel = add(dialog, "button", "Cancel");
    var isOver = false;
    function finish(resultCode) {
      if (isOver) { return; }
      isOver = true;
      host.remove();
      done(resultCode);
    }
    pay.addEventListener("click", function () {
      pay.disabled = cancel.disabled = true;
      get("/wallet/sheet/" + encodeURIComponent(tradeNO) + "/pay", "POST")
        .then(function (answer) { finish(answer.resultCode); }, function () { finish("6002"); });
    });
    cancel.addEventListener("click", function () { finish("6001"); });
    dialog.addEventListener("cancel", function () { finish("6001"); });
    document.body.appendChild(host);
    dialog.showModal();
    pay.focus();
  }

  function tradePay(options, done) {
    var tradeNO = options && options.tradeNO;
    if (!tradeNO) { done("4000"); return; }
    get("/wallet/sheet/" + encodeURIComponent(tradeNO), "GET").then(function (order) {
      if (order.state === "unpaid") { sheet(order, tradeNO, done); } else { done("4000"); }
    }, function () { done("6002"); });
  }

  function noop() {}

  window.AlipayJSBridge = {
    call: function (name, options, callback) {
      if (typeof options === "function") { callback = options; options = {}; }
      callback = callback || noop;
      if (name === "tradePay") {
        tradePay(options, function (resultCode) { callback({ resultCode: resultCode }); });
      } else {
        callback({ error: 1, errorMessage: name + " is not in the sandbox" });
      }
    }
  };
  window.my = window.my || {};
  window.my.tradePay = function (options) {
    tradePay(options, function (resultCode) {
      var result = { resultCode: resultCode };
      (options.success || noop)(result);
      (options.complete || noop)(result);
    });
  };
  function announce() { document.dispatchEvent(new Event("AlipayJSBridgeReady")); }
  if (document.readyState === "loading") { document.addEventListener("DOMContentLoaded", announce); } else { setTimeout(announce, 0); }
})();
