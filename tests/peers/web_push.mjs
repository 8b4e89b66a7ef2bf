// Sends one notification with npm web-push, as a site would.
//
// stdin:  {"subscription": PushSubscription, "payload": string, "options": web-push's options}
// stdout: {"status", "headers", "body"} whatever the server answered,
//         or {"error"} and exit code 1 where there was no answer.
import { text } from "node:stream/consumers";
import webpush from "web-push";

const { subscription, payload, options } = JSON.parse(await text(process.stdin));
try {
  const { statusCode, headers, body } = await webpush.sendNotification(subscription, payload, options);
  answer(statusCode, headers, body);
} catch (error) {
  if (error instanceof webpush.WebPushError) {
    answer(error.statusCode, error.headers, error.body);
  } else {
    console.log(JSON.stringify({ error: String(error) }));
    process.exitCode = 1;
  }
}

function answer(status, headers, body) {
  console.log(JSON.stringify({ status, headers, body }));
}
