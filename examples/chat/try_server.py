"""A server to try the chat with, where there is no model: `python3 try_server.py`, then ask at http://127.0.0.1:8765/v1.

It says the question back, in the way that the name of the model tells:

    words       a word at a time, twenty a second
    flood       2,000 words at once
    breaks-off  some words, and then it hangs up
    silent      nothing, ever
    whole       without streaming, as servers do that cannot

Any other model is not there (404), and with --key a question without that key is refused (401). Standard library only,
for Python 3.7 and later.
"""

import argparse
import contextlib
import itertools
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAUSE = 0.05  # seconds, between two words
FLOOD = 2000  # words
IN_PARAGRAPH = 50  # words
BEFORE_BREAK = 5  # words


class Server(ThreadingHTTPServer):
    """Serves on this machine only.

    Args:
        port: where; 0 for any that is free.
        key: what a question must bring; empty for nothing.
        handler: what answers; another one has more ways to.
    """

    daemon_threads = True

    def __init__(self, port=0, key="", handler=None):
        super().__init__(("127.0.0.1", port), handler or Handler)
        self.key = key


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.close_connection = True
        if self.path != "/v1/chat/completions":
            self.send_error(404)
        elif self.server.key and self.headers.get("Authorization") != "Bearer " + self.server.key:
            self.refuse(401, "Incorrect API key provided.")
        else:
            # A client that goes away in the middle is nothing to write home about.
            with contextlib.suppress(ConnectionError):
                self.answer(json.loads(content))

    def answer(self, question):
        """Answer as the model does."""
        model = question.get("model", "words")
        way = getattr(self, "answer_" + str(model).replace("-", "_"), None)
        if way is None:
            self.refuse(404, f"The model '{model}' does not exist.")
        else:
            messages = question["messages"]
            way(f"Question {len(messages) // 2 + 1} of this conversation:", messages[-1]["content"])

    def answer_words(self, *texts):
        self.begin()
        for word in split(*texts):
            self.send(event(word))
            time.sleep(PAUSE)
        self.end()

    def answer_flood(self, *texts):
        self.begin()
        words = list(itertools.islice(itertools.cycle(split(*texts)), FLOOD))
        words[IN_PARAGRAPH::IN_PARAGRAPH] = ["\n" + word for word in words[IN_PARAGRAPH::IN_PARAGRAPH]]
        self.send(b"".join(map(event, words)))
        self.end()

    def answer_breaks_off(self, *texts):
        self.begin()
        for word in itertools.islice(itertools.cycle(split(*texts)), BEFORE_BREAK):
            self.send(event(word))

    def answer_silent(self, *texts):
        self.rfile.read(1)  # returns when the client has gone

    def answer_whole(self, *texts):
        message = {"role": "assistant", "content": " ".join(texts)}
        self.send_json(200, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})

    # -- how it is sent --------------------------------------------------------

    def begin(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def send(self, data):
        """Send one chunk, in one write."""
        self.wfile.write(b"%X\r\n%s\r\n" % (len(data), data))

    def end(self):
        self.send(event("", "stop") + b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def refuse(self, status, message):
        self.send_json(status, {"error": {"message": message, "type": "invalid_request_error"}})

    def send_json(self, status, answer):
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def split(*texts):
    """Return the words of the texts, each with the space behind it, as models see them."""
    return [word + " " for text in texts for word in text.split()]


def event(word, reason=None):
    """Return a server-sent event that brings a word."""
    delta = {"content": word} if word else {}
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    chunk = {"id": "try", "object": "chat.completion.chunk", "model": "try", "choices": [choice]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--key", default="", help="what a question must bring; by default nothing")
    options = parser.parse_args()
    with Server(options.port, options.key) as server:
        print("Serving at http://{}:{}/v1, until Ctrl+C".format(*server.server_address), flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main()
