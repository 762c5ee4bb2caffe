"""What `lambdakit.http` stands on: urllib3, told how long a connection may idle and a step may take."""
