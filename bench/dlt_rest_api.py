"""The same list by dlt: its `rest_api` source with nested fields, merged on the id.

Run by the bench under an environment of its own: ready line, database URL, folder to work in.
Prints {"seconds", "conversations", "messages", "version"}; imports and set-up are not counted.
"""

import json
import sys
import time
import warnings

import dlt
from dlt.sources.rest_api import rest_api_source


def main() -> None:
    """One pipeline, run once."""
    warnings.simplefilter("ignore")
    ready, url, fields, folder = json.loads(sys.argv[1]), *sys.argv[2:]
    # It formats its parameters: braces are doubled.
    fields = fields.replace("{", "{{").replace("}", "}}")
    source = rest_api_source(
        {
            "client": {
                "base_url": f"{ready['url']}/v27.0/",
                "auth": {"type": "bearer", "token": ready["token"]},
                "paginator": {"type": "json_link", "next_url_path": "paging.next"},
            },
            "resources": [
                {
                    "name": "conversations",
                    "primary_key": "id",
                    "write_disposition": "merge",
                    "endpoint": {
                        "path": f"{ready['page_id']}/conversations",
                        "params": {"limit": 100, "fields": fields},
                        "data_selector": "data",
                    },
                }
            ],
        }
    )
    is_sqlite = url.startswith("sqlite")
    destination = dlt.destinations.sqlalchemy(url) if is_sqlite else dlt.destinations.postgres(url)
    pipeline = dlt.pipeline(
        pipeline_name="bench", destination=destination, dataset_name="bench_dlt", pipelines_dir=folder
    )
    began = time.perf_counter()
    pipeline.run(source)
    seconds = time.perf_counter() - began
    with pipeline.sql_client() as client:
        conversations = client.execute_sql("SELECT COUNT(*) FROM conversations")[0][0]
        messages = client.execute_sql("SELECT COUNT(*) FROM conversations__messages__data")[0][0]
    print(
        json.dumps(
            {
                "seconds": seconds,
                "conversations": conversations,
                "messages": messages,
                "version": dlt.__version__,
            }
        )
    )


if __name__ == "__main__":
    main()
