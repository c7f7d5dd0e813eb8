"""A real S3 server for tests: moto's, in memory, with one bucket and one user who may use it.

    python server.py BUCKET

Prints one line of JSON, `{"endpoint", "access_key", "secret_key"}`, and serves until its standard input ends.
Lines on standard input are commands, each answered with `ok`:

    stop            the server goes away; what it holds stays
    start           it comes back, at the same address
    damage KEY      one byte of an object is another one
    truncate KEY    an object loses its second half
    uploads         how many uploads were begun and not ended (answered with the number)
"""

import json
import os
import sys

# Whom the set-up itself asks as; from then on only the user made below is let in.
os.environ.update(
    AWS_ACCESS_KEY_ID="setup",
    AWS_SECRET_ACCESS_KEY="setup",
    AWS_DEFAULT_REGION="us-east-1",
)
# The server is on this machine: nothing of the network's set-up concerns it.
for name in ("AWS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
    os.environ.pop(name, None)

import boto3
from moto import settings
from moto.server import ThreadedMotoServer

POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
}


def serve(port):
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    return server


def make_user(endpoint):
    """One user with a key; strangers are refused from then on."""
    iam = boto3.client("iam", endpoint_url=endpoint)
    iam.create_user(UserName="lehr")
    iam.put_user_policy(UserName="lehr", PolicyName="s3", PolicyDocument=json.dumps(POLICY))
    key = iam.create_access_key(UserName="lehr")["AccessKey"]
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
    return key["AccessKeyId"], key["SecretAccessKey"]


def main():
    bucket = sys.argv[1]
    server = serve(0)
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket=bucket)
    access_key, secret_key = make_user(endpoint)
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
    )
    # With versions, because moto calls the version of an object without one `null`, and then does not know it.
    client.put_bucket_versioning(
        Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}
    )
    said = {"endpoint": endpoint, "access_key": access_key, "secret_key": secret_key}
    print(json.dumps(said), flush=True)
    for line in sys.stdin:
        command, _, key = line.strip().partition(" ")
        answer = "ok"
        if command == "stop":
            server.stop()
        elif command == "start":
            server = serve(port)
        elif command in ("damage", "truncate"):
            body = client.get_object(Bucket=bucket, Key=key)["Body"].read()
            changed = bytes([body[0] ^ 1]) + body[1:] if command == "damage" else body[: len(body) // 2]
            client.put_object(Bucket=bucket, Key=key, Body=changed)
        elif command == "uploads":
            answer = str(len(client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])))
        else:
            answer = f"unknown command {command}"
        print(answer, flush=True)


if __name__ == "__main__":
    main()
