"""Code that tests share: certificates, servers, and AWS in memory."""
