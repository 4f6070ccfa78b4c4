"""When and how a token is renewed: schedule, current token, single flight, renewal, cool-downs, stored form, keys."""
