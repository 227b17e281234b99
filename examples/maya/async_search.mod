+ async_search 1.0.0 ./async_search
PYTHONPATH +:= scripts
