"""What happens to one API request: attach the token, judge the response, renew, repeat."""
