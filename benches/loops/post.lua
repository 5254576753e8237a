-- A POST with a body of 1.5 KB, and a head as exchanges send it.
wrk.method = "POST"
wrk.path = "/openrtb/generic"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["x-openrtb-version"] = "2.6"
wrk.headers["Accept-Encoding"] = "gzip"
wrk.headers["User-Agent"] = "exchange/1.0"
wrk.body = '{"id":"' .. string.rep("x", 1491) .. '"}'
